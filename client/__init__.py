"""What runs at the user's: the Python client over HTTP and WebSocket, and the command line. It knows the wire alone."""

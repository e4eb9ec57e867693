"""The WebSocket: one connection of one account, its requests, and what the server sends unasked."""

"""The Python client and the command line, against a real API on a real database."""

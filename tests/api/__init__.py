"""The API on a real server and a real database; Temporal is replaced at its border where it is not under test."""

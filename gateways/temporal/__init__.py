"""Temporal's client: starting, signalling and asking workflows."""

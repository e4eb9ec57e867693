"""Alembic migrations. ``python -m migrations`` brings a database to the newest revision."""

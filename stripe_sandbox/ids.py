"""Ids that look like Stripe's."""

import secrets
import string

ALPHABET = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """Return a fresh id: the prefix, and 24 random letters and digits (142 bits, so that none is met twice)."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(24))

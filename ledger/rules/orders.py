"""Whether a grant may be made, or an account opened, at all: the rules that need no database."""

import re
from datetime import UTC, datetime

from ledger.rules.errors import InvalidOrder, UnknownHold
from ledger.rules.grant_types import EXPIRING_TYPES
from ledger.rules.limits import (
    MAX_CREDITS_PER_OPERATION,
    MAX_DESCRIPTION_LENGTH,
    MAX_EMAIL_LENGTH,
    MAX_EXTERNAL_ID_LENGTH,
    MAX_HOLD_SECONDS,
    MAX_NAME_LENGTH,
    MAX_OPERATION_ID_LENGTH,
)
from messages.grants import GrantOrder

ACCOUNT_KINDS = ("user", "organization")
RESERVED_PREFIXES = ("rollover-", "free-", "referral-", "auto-topup-", "reversal-")

# Printable ASCII without space and slash: it goes into workflow ids, URLs and idempotency keys as it is.
# The slash is ours: internal operations, such as revoke/{operationId}, can't be taken by a client.
_OPERATION_ID = re.compile(rf"[!-.0-~]{{1,{MAX_OPERATION_ID_LENGTH}}}")

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def check_operation_id(operation_id: str) -> None:
    """Raises InvalidOrder for an id that a client may not choose."""
    if not _OPERATION_ID.fullmatch(operation_id):
        raise InvalidOrder(
            "operationId",
            f"must be 1 to {MAX_OPERATION_ID_LENGTH} printable ASCII characters without spaces and slashes",
        )
    if operation_id.startswith(RESERVED_PREFIXES):
        [prefix] = filter(operation_id.startswith, RESERVED_PREFIXES)
        raise InvalidOrder("operationId", f"the prefix {prefix!r} belongs to the system; choose another id")


def check_credits(credits: int) -> None:
    """Raises InvalidOrder unless ``credits`` is an amount that one operation may carry."""
    if not 1 <= credits <= MAX_CREDITS_PER_OPERATION:
        raise InvalidOrder("credits", f"must be from 1 to {MAX_CREDITS_PER_OPERATION}, not {credits}")


def check_cost(credits: int) -> None:
    """Raises InvalidOrder unless ``credits`` is what settled work may have cost; nothing is allowed."""
    if not 0 <= credits <= MAX_CREDITS_PER_OPERATION:
        raise InvalidOrder("credits", f"must be from 0 to {MAX_CREDITS_PER_OPERATION}, not {credits}")


def check_ttl(ttl_seconds: int) -> None:
    """Raises InvalidOrder unless a hold may live so long."""
    if not 1 <= ttl_seconds <= MAX_HOLD_SECONDS:
        raise InvalidOrder("ttlSeconds", f"must be from 1 to {MAX_HOLD_SECONDS}, not {ttl_seconds}")


def check_hold_id(operation_id: str) -> None:
    """Raises UnknownHold for what can't be the id of a hold."""
    if not _OPERATION_ID.fullmatch(operation_id):
        raise UnknownHold(operation_id)


def check_text(field: str, text: str, *, longest: int) -> None:
    """Raises InvalidOrder for a text that is too long, or that PostgreSQL and JSON could not give back."""
    if len(text) > longest:
        raise InvalidOrder(field, f"may have {longest} characters, has {len(text)}")
    if _UNSTORABLE.search(text):
        raise InvalidOrder(field, "has a character that can't be stored (a zero byte, or half of a surrogate pair)")


def check_order(order: GrantOrder) -> None:
    """Raises InvalidOrder for an order that could be refused at any time. It does not depend on now, so that the
    repeat of an order that was accepted once is never refused for having become old."""
    check_credits(order.credits)
    if order.description is not None:
        check_text("description", order.description, longest=MAX_DESCRIPTION_LENGTH)
    if order.expires_at is None:
        return
    if order.type not in EXPIRING_TYPES:
        raise InvalidOrder("expiresAt", f"a grant of type {order.type} never expires")
    if order.expires_at.tzinfo is None:
        raise InvalidOrder("expiresAt", "must say its offset from UTC")
    try:
        order.expires_at.astimezone(UTC)
    except OverflowError:
        raise InvalidOrder("expiresAt", "is beyond the year 9999") from None


def check_expiry(order: GrantOrder, now: datetime) -> None:
    """Raises InvalidOrder for an expiry that is not after ``now``."""
    if order.expires_at is not None and order.expires_at <= now:
        raise InvalidOrder("expiresAt", f"{order.expires_at.isoformat()} is not after now, {now.isoformat()}")


def check_account(
    *, kind: str, name: str, email: str | None, external_id: str | None, free_credits: int | None
) -> None:
    """Raises InvalidOrder unless such an account may be opened."""
    if kind not in ACCOUNT_KINDS:
        raise InvalidOrder("kind", f"must be one of {', '.join(ACCOUNT_KINDS)}")
    _check_filled("name", name, longest=MAX_NAME_LENGTH)
    if email is not None:
        _check_filled("email", email, shortest=3, longest=MAX_EMAIL_LENGTH)
    if external_id is not None:
        _check_filled("externalId", external_id, longest=MAX_EXTERNAL_ID_LENGTH)
    if free_credits is not None and not 0 <= free_credits <= MAX_CREDITS_PER_OPERATION:
        raise InvalidOrder("freeCredits", f"must be from 0 to {MAX_CREDITS_PER_OPERATION}, not {free_credits}")


def _check_filled(field: str, text: str, *, longest: int, shortest: int = 1) -> None:
    if len(text) < shortest:
        raise InvalidOrder(field, f"must have at least {shortest} characters, has {len(text)}")
    check_text(field, text, longest=longest)

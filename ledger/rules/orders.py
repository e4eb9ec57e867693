"""Whether a grant may be made at all: the rules that need no database."""

import re
from datetime import datetime

from ledger.rules.errors import InvalidOrder
from ledger.rules.grant_types import EXPIRING_TYPES
from ledger.rules.limits import MAX_CREDITS_PER_OPERATION, MAX_DESCRIPTION_LENGTH, MAX_OPERATION_ID_LENGTH
from messages.grants import GrantOrder

RESERVED_PREFIXES = ("rollover-", "free-", "referral-", "auto-topup-", "reversal-")

# Printable ASCII without space and slash: it goes into workflow ids, URLs and idempotency keys as it is.
# The slash is ours: internal operations, such as revoke/{operationId}, can't be taken by a client.
_OPERATION_ID = re.compile(rf"[!-.0-~]{{1,{MAX_OPERATION_ID_LENGTH}}}")


def check_operation_id(operation_id: str) -> None:
    """Raises InvalidOrder for an id that a client may not choose."""
    if not _OPERATION_ID.fullmatch(operation_id):
        raise InvalidOrder(
            "operationId",
            f"must be 1 to {MAX_OPERATION_ID_LENGTH} printable ASCII characters without spaces and slashes",
        )
    for prefix in RESERVED_PREFIXES:
        if operation_id.startswith(prefix):
            raise InvalidOrder("operationId", f"the prefix {prefix!r} belongs to the system; choose another id")


def check_credits(credits: int) -> None:
    """Raises InvalidOrder unless ``credits`` is an amount that one operation may carry."""
    if not 1 <= credits <= MAX_CREDITS_PER_OPERATION:
        raise InvalidOrder("credits", f"must be from 1 to {MAX_CREDITS_PER_OPERATION}, not {credits}")


def check_grant(order: GrantOrder, now: datetime) -> None:
    """Raises InvalidOrder unless the grant may be made at ``now``."""
    check_credits(order.credits)
    if order.description is not None and len(order.description) > MAX_DESCRIPTION_LENGTH:
        raise InvalidOrder("description", f"may have {MAX_DESCRIPTION_LENGTH} characters, has {len(order.description)}")
    if order.expires_at is None:
        return
    if order.type not in EXPIRING_TYPES:
        raise InvalidOrder("expiresAt", f"a grant of type {order.type} never expires")
    if order.expires_at <= now:
        raise InvalidOrder("expiresAt", f"{order.expires_at.isoformat()} is not after now, {now.isoformat()}")

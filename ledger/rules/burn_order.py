"""The burn order: which grant pays first. It is total, so that two processes never disagree."""

from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

_NEVER = datetime.max.replace(tzinfo=UTC)


class Burnable(Protocol):
    """What the burn order looks at."""

    @property
    def grant_id(self) -> UUID: ...
    @property
    def priority(self) -> int: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def created_at(self) -> datetime: ...


def burn_order(grant: Burnable) -> tuple[int, datetime, datetime, UUID]:
    """The sort key of a grant: priority, then expiry (never-expiring last), then creation, then id."""
    return grant.priority, grant.expires_at or _NEVER, grant.created_at, grant.grant_id


def is_live(expires_at: datetime | None, now: datetime) -> bool:
    """Whether credit is spendable at ``now``: exactly while now is before the expiry."""
    return expires_at is None or now < expires_at

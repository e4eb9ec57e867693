"""The types of grants: their priority, their expiry, and whether and how Stripe mirrors them."""

from datetime import datetime

from messages.grants import GrantType

# Lower burns first: what was given away before what was paid for.
GRANT_PRIORITIES: dict[GrantType, int] = {
    GrantType.FREE: 20,
    GrantType.REFERRAL: 40,
    GrantType.ADMIN: 60,
    GrantType.ROLLOVER: 70,
    GrantType.PURCHASE: 80,
}

EXPIRING_TYPES = frozenset({GrantType.FREE, GrantType.REFERRAL})
# Whoever has had credits for longer than this may have forgotten them: they are told before these expire.
LONG_LIVED_DAYS = 45
PAID_TYPES = frozenset({GrantType.PURCHASE, GrantType.ROLLOVER})

# A rollover is no new money: the grants that it came from have their mirrors already.
MIRRORED_TYPES = frozenset(GrantType) - {GrantType.ROLLOVER}


def expiry_of(grant_type: GrantType, wanted: datetime | None, next_reset: datetime) -> datetime | None:
    """When a new grant expires: free and referral at ``wanted`` or else at the next reset, the others never."""
    if grant_type in EXPIRING_TYPES:
        return wanted or next_reset
    return None

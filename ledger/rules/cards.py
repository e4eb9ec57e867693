"""Payment methods as far as our books know them: whether one can be charged."""

from datetime import datetime

from messages.customers import PaymentMethod


def is_usable(method: PaymentMethod | None, now: datetime) -> bool:
    """Whether the method can be charged at ``now`` (UTC): a card through the end of its expiry month, others always."""
    if method is None:
        return False
    if method.expiry_year is None or method.expiry_month is None:
        return True
    return (now.year, now.month) <= (method.expiry_year, method.expiry_month)

"""Reset dates: one calendar month after another, in UTC, on the day that the account began, clamped to the month."""

from calendar import monthrange
from datetime import datetime


def next_reset_after(current: datetime, anchor_day: int) -> datetime:
    """The reset one month after ``current``, on ``anchor_day`` or the month's last day if it is shorter.

    Jan 31 is followed by Feb 28 (or 29) and then by Mar 31 again: the anchor is never lost.
    """
    year, month = (current.year + 1, 1) if current.month == 12 else (current.year, current.month + 1)
    day = min(anchor_day, monthrange(year, month)[1])
    return current.replace(year=year, month=month, day=day)


def coming_reset(next_reset: datetime, anchor_day: int, now: datetime) -> datetime:
    """The account's first reset after ``now``: ``next_reset``, unless that is due and has not been done yet."""
    coming = next_reset
    while coming <= now:
        coming = next_reset_after(coming, anchor_day)
    return coming


def running_cycle_start(cycle_start: datetime, next_reset: datetime, anchor_day: int, now: datetime) -> datetime:
    """When the cycle began that runs at ``now``, also where resets are due and have not been done yet."""
    began = cycle_start
    ends = next_reset
    while ends <= now:
        began, ends = ends, next_reset_after(ends, anchor_day)
    return began


def cycle_start_at(at: datetime, *, cycle_start: datetime, anchor_day: int, opened_at: datetime) -> datetime:
    """When the cycle began that held at ``at``, for an account whose present cycle began at ``cycle_start``.

    Before its present cycle an account had calendar months; the first began when it was opened.
    """
    began = cycle_start
    while began > at and began > opened_at:
        began = max(opened_at, _reset_before(began, anchor_day))
    return began


def _reset_before(current: datetime, anchor_day: int) -> datetime:
    year, month = (current.year - 1, 12) if current.month == 1 else (current.year, current.month - 1)
    day = min(anchor_day, monthrange(year, month)[1])
    return current.replace(year=year, month=month, day=day)

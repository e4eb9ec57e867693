"""What a verification finds wrong."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Mismatch:
    """Something that does not add up. ``check`` names it for programs; ``subject`` is an operation, entry,
    hold or payment.

    ``expected`` is what the journal says, or what follows from the rest, and ``found`` what the row says.
    """

    account_id: UUID
    check: str
    expected: int | None = None
    found: int | None = None
    grant_id: UUID | None = None
    subject: str | None = None

"""Which card a payment was tried with: attached anew, a card has another id and the same fingerprint.

Revision: 0009.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Gives payments the fingerprint; older ones go on being known by their payment methods."""
    op.add_column("payments", sa.Column("payment_method_fingerprint", sa.Text(), nullable=True))
    op.execute("GRANT UPDATE (payment_method_fingerprint) ON payments TO grantflow_app")


def downgrade() -> None:
    """Forgets it."""
    op.drop_column("payments", "payment_method_fingerprint")

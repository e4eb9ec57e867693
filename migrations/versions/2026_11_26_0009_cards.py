"""Which card a payment was tried with, since a card that is attached anew has another id and the same fingerprint; and
which payments are still to be canceled at Stripe, because another took their place.

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
    """Gives payments both; older ones go on being known by their payment methods."""
    op.add_column("payments", sa.Column("payment_method_fingerprint", sa.Text(), nullable=True))
    op.add_column("payments", sa.Column("cancel_due", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute("GRANT UPDATE (payment_method_fingerprint, cancel_due) ON payments TO grantflow_app")


def downgrade() -> None:
    """Forgets both."""
    op.drop_column("payments", "cancel_due")
    op.drop_column("payments", "payment_method_fingerprint")

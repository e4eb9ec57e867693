"""Past holds are found by when they ended, for a balance to be explained.

Revision: 0006.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


INDEXES = (
    ("ix_holds_closed", "closed_at IS NOT NULL"),
    ("ix_holds_closed_without_end", "closed_at IS NOT NULL AND held_until IS NULL"),
)


def upgrade() -> None:
    """Builds the indexes."""
    for name, condition in INDEXES:
        op.create_index(name, "holds", ["account_id", "closed_at"], postgresql_where=sa.text(condition))


def downgrade() -> None:
    """Drops them."""
    for name, condition in reversed(INDEXES):
        op.drop_index(name, table_name="holds", postgresql_where=sa.text(condition))

"""Which account a hold belongs to, for an admin, who names a hold by its operation id alone."""

from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.rules.errors import HoldOfAnother, InvalidOrder, UnknownHold
from ledger.rules.orders import check_hold_id
from ledger.store.holds import accounts_with_hold
from ledger.transaction import with_transaction


async def account_of_hold(engine: AsyncEngine, operation_id: str, *, made_by: str) -> str:
    """The account that has a hold of this operation id, made with this kind of token.

    Raises UnknownHold, HoldOfAnother where there are only holds that the other kind made, InvalidOrder where several
    accounts have one, or LedgerUnavailable.
    """
    check_hold_id(operation_id)
    found = await with_transaction(engine, lambda tx: accounts_with_hold(tx, operation_id), what="account of hold")
    own = [account_id for account_id, maker in found if maker == made_by]
    if len(own) > 1:
        raise InvalidOrder("accountId", f"several accounts have a hold {operation_id!r}; say which one is meant")
    if own:
        return str(own[0])
    if found:
        raise HoldOfAnother(operation_id, made_by=found[0][1])
    raise UnknownHold(operation_id)

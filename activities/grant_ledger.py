"""The grant flow's steps in the ledger. Each is one transaction, and each may be repeated."""

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.failures import final_failures
from ledger import customers, granting, mirroring
from messages.customers import AccountId, Customer, CustomerRequest
from messages.grant_steps import GrantLedgerSteps
from messages.grants import Grant, GrantId, GrantOrder, MirrorClosing, MirrorRequest, PreparedMirror, StageChange


class GrantLedger(GrantLedgerSteps):
    """See :class:`messages.grant_steps.GrantLedgerSteps` for what each step does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create_local_grant(self, order: GrantOrder) -> Grant:
        with final_failures():
            return (await granting.process_and_grant_credit(self._engine, order)).grant

    async def prepare_mirror(self, grant: GrantId) -> PreparedMirror:
        with final_failures():
            return await mirroring.prepare_mirror(self._engine, grant.operation_id)

    async def renew_mirror_key(self, request: MirrorRequest) -> MirrorRequest:
        with final_failures():
            return await mirroring.renew_mirror_key(self._engine, request.operation_id, used=request.idempotency_key)

    async def change_stage(self, change: StageChange) -> Grant:
        with final_failures():
            return await mirroring.change_stage(self._engine, change)

    async def spent_mirrors(self, account: AccountId) -> list[MirrorClosing]:
        with final_failures():
            return await mirroring.spent_mirrors(self._engine, account_id=account.account_id)

    async def record_closing(self, closing: MirrorClosing) -> None:
        with final_failures():
            await mirroring.record_closing(self._engine, closing.operation_id)

    async def prepare_customer(self, account: AccountId) -> CustomerRequest:
        with final_failures():
            return await customers.prepare_customer(self._engine, account.account_id)

    async def renew_customer_key(self, request: CustomerRequest) -> CustomerRequest:
        with final_failures():
            return await customers.renew_customer_key(self._engine, request.account_id, used=request.idempotency_key)

    async def record_customer(self, customer: Customer) -> None:
        with final_failures():
            await customers.record_customer(self._engine, customer)

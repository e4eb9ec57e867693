"""The grant's workflow as somebody might break it: a timer before the first step, without ``workflow.patched``."""

from temporalio import workflow

from messages import names
from messages.grants import Grant, GrantOrder


@workflow.defn(name=names.CREDIT_GRANT_WORKFLOW)
class ChangedCreditGrantWorkflow:
    """Does nothing of what the stored histories did."""

    @workflow.run
    async def run(self, order: GrantOrder) -> None:
        """Sleeps, where the histories begin with the local grant."""
        await workflow.sleep(order.credits)

    @workflow.update(name=names.CREATE_LOCAL_GRANT)
    async def create_local_grant(self) -> Grant | None:
        """Takes the update and answers nothing."""
        return None

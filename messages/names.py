"""Names that are fixed on the wire: they outlive the classes that carry them, so they are written once, here."""

from temporalio.common import SearchAttributeKey

TASK_QUEUE = "billing"

CREDIT_GRANT_WORKFLOW = "CreditGrantWorkflow"
PAYMENT_METHOD_WORKFLOW = "PaymentMethodWorkflow"
SWEEPS_WORKFLOW = "SweepsWorkflow"

SWEEPS_SCHEDULE = "sweeps"

CREATE_LOCAL_GRANT = "create_local_grant"
STRIPE_GRANT_CONFIRMED = "stripe_grant_confirmed"
RETRY_STRIPE_GRANT = "retry_stripe_grant"
ABANDON = "abandon"
STATUS = "status"

ACCOUNT_ID = SearchAttributeKey.for_keyword("AccountId")
OPERATION_ID = SearchAttributeKey.for_keyword("OperationId")
GRANT_TYPE = SearchAttributeKey.for_keyword("GrantType")
GRANT_STAGE = SearchAttributeKey.for_keyword("GrantStage")
SEARCH_ATTRIBUTES = (ACCOUNT_ID, OPERATION_ID, GRANT_TYPE, GRANT_STAGE)


def grant_workflow_id(operation_id: str) -> str:
    """The id of the workflow that carries one grant through Stripe."""
    return f"grant/{operation_id}"


def payment_method_workflow_id(attempt_id: str) -> str:
    """The id of the workflow that attaches one payment method, once per request."""
    return f"payment-method/{attempt_id}"

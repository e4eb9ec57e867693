"""Names that are fixed on the wire: they outlive the classes that carry them, so they are written once, here."""

from temporalio.common import SearchAttributeKey

TASK_QUEUE = "billing"

CREDIT_GRANT_WORKFLOW = "CreditGrantWorkflow"
PAYMENT_METHOD_WORKFLOW = "PaymentMethodWorkflow"
AUTO_TOPUP_WORKFLOW = "AutoTopupWorkflow"
PURCHASE_WORKFLOW = "PurchaseWorkflow"
PAYMENT_REVERSAL_WORKFLOW = "PaymentReversalWorkflow"
CUSTOMER_WORKFLOW = "CustomerWorkflow"
SWEEPS_WORKFLOW = "SweepsWorkflow"

SWEEPS_SCHEDULE = "sweeps"

CREATE_LOCAL_GRANT = "create_local_grant"
STRIPE_GRANT_CONFIRMED = "stripe_grant_confirmed"
RETRY_STRIPE_GRANT = "retry_stripe_grant"
ABANDON = "abandon"
TOP_UP_WANTED = "top_up_wanted"
TOP_UP = "top_up"
BEGIN_PURCHASE = "begin_purchase"
AUTHENTICATE = "authenticate"
PAYMENT_SUCCEEDED = "payment_succeeded"
PAYMENT_FAILED = "payment_failed"
PAYMENT_CHANGED = "payment_changed"
CUSTOMER_CHANGED = "customer_changed"
STATUS = "status"

ACCOUNT_ID = SearchAttributeKey.for_keyword("AccountId")
OPERATION_ID = SearchAttributeKey.for_keyword("OperationId")
GRANT_TYPE = SearchAttributeKey.for_keyword("GrantType")
GRANT_STAGE = SearchAttributeKey.for_keyword("GrantStage")
SEARCH_ATTRIBUTES = (ACCOUNT_ID, OPERATION_ID, GRANT_TYPE, GRANT_STAGE)


def grant_workflow_id(operation_id: str) -> str:
    """The id of the workflow that carries one grant through Stripe."""
    return f"grant/{operation_id}"


def auto_topup_workflow_id(account_id: str) -> str:
    """The id of the workflow that tops up one account, one attempt at a time."""
    return f"auto-topup/{account_id}"


def purchase_workflow_id(operation_id: str) -> str:
    """The id of the workflow that carries one payment to its end."""
    return f"purchase/{operation_id}"


def reversal_workflow_id(payment_intent_id: str) -> str:
    """The id of the workflow that books what has gone back of one payment."""
    return f"reversal/{payment_intent_id}"


def customer_workflow_id(account_id: str) -> str:
    """The id of the workflow that reads how an account's customer stands at Stripe."""
    return f"customer/{account_id}"


def payment_method_workflow_id(attempt_id: str) -> str:
    """The id of the workflow that attaches one payment method, once per request."""
    return f"payment-method/{attempt_id}"

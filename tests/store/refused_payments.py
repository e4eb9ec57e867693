"""What the constraints of payments and of auto top-up's settings refuse."""

_ANOTHER_PAYMENT = (
    "INSERT INTO payments (operation_id, account_id, kind, credits, amount_cents, currency, idempotency_key, actor, "
    "request_id, payment_intent_id, checkout_session_id, state) "
    "SELECT {operation_id}, account_id, kind, 500, 500, 'usd', {key}, '', '', {intent}, {page}, {state} FROM payments "
    "WHERE operation_id = 'topup-one'"
)


def another_payment(**changed: str) -> str:
    """One more auto top-up of the account that has an open one; it is at its end unless told."""
    values = {"operation_id": "'more'", "key": "'more'", "intent": "'pi_more'", "page": "NULL", "state": "'open'"}
    return _ANOTHER_PAYMENT.format(**values | changed)


REFUSED_PAYMENTS = {
    "ck_payments_kind": "UPDATE payments SET kind = 'gift'",
    "ck_payments_state": "UPDATE payments SET state = 'lost'",
    "ck_payments_credits": "UPDATE payments SET credits = 0",
    "ck_payments_amount_cents": "UPDATE payments SET amount_cents = 0",
    "ck_payments_currency": "UPDATE payments SET currency = 'USD'",
    "ck_payments_key": "UPDATE payments SET key_number = 0",
    "ck_payments_closed_at": "UPDATE payments SET state = 'failed', error = 'x', closed_at = NULL",
    "ck_payments_failed_has_error": "UPDATE payments SET state = 'failed', error = NULL, closed_at = now()",
    "ck_payments_intent": "UPDATE payments SET state = 'processing', payment_intent_id = NULL",
    "pk_payments": another_payment(operation_id="'topup-one'", state="'requires-action'"),
    "fk_payments_account_id": "UPDATE payments SET account_id = gen_random_uuid()",
    "uq_payments_idempotency_key": another_payment(key="idempotency_key", state="'requires-action'"),
    "uq_payments_payment_intent_id": another_payment(intent="'pi_topup-one'", state="'requires-action'"),
    "uq_payments_checkout_session_id": another_payment(page="checkout_session_id", state="'requires-action'"),
    "uq_payments_unsettled_top_up": another_payment(),
    "ck_auto_topups_range": "UPDATE auto_topups SET target = threshold",
    "ck_auto_topups_monthly_limit": "UPDATE auto_topups SET monthly_limit_cents = -1",
    "ck_auto_topups_enabled_or_reason": "UPDATE auto_topups SET disabled_reason = 'x', disabled_at = now()",
    "ck_auto_topups_disabled_at": "UPDATE auto_topups SET disabled_at = now()",
    "pk_auto_topups": "INSERT INTO auto_topups SELECT * FROM auto_topups",
    "fk_auto_topups_account_id": "UPDATE auto_topups SET account_id = gen_random_uuid()",
}

# What else some of them refuse.
ALSO_REFUSED_PAYMENTS = [
    ("ck_payments_credits", "UPDATE payments SET credits = 1000000000001"),
    ("ck_payments_key", "UPDATE payments SET idempotency_key = repeat('x', 256)"),
    ("ck_payments_closed_at", "UPDATE payments SET closed_at = now()"),
    ("ck_payments_closed_at", "UPDATE payments SET state = 'paid'"),
    ("ck_payments_intent", "UPDATE payments SET state = 'succeeded', payment_intent_id = NULL"),
    ("ck_payments_intent", "UPDATE payments SET state = 'paid', closed_at = now(), payment_intent_id = NULL"),
    ("uq_payments_unsettled_top_up", another_payment(state="'processing'")),
    ("uq_payments_unsettled_top_up", another_payment(state="'succeeded'")),
    ("ck_auto_topups_range", "UPDATE auto_topups SET threshold = -1"),
    ("ck_auto_topups_disabled_at", "UPDATE auto_topups SET enabled = false, disabled_reason = 'x'"),
]

"""Every error that the API answers with: its code, its HTTP status, and what a person can do about it.

This is the one place where a code gets a status. docs/errors.md is the same table; a test compares them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorKind:
    """One kind of error. ``mend`` says what the caller can do; it is a whole sentence."""

    status: int
    title: str
    mend: str


CATALOGUE: dict[str, ErrorKind] = {
    "malformed-body": ErrorKind(
        400, "The body is not JSON", "Send one JSON object, with Content-Type: application/json."
    ),
    "invalid-webhook": ErrorKind(
        400,
        "The webhook is not acceptable",
        "Only Stripe sends webhooks, signed just now with this endpoint's secret. Nothing was stored.",
    ),
    "unauthenticated": ErrorKind(
        401,
        "The token is missing or unknown",
        "Send Authorization: Bearer with a token of the account, or the admin's.",
    ),
    "payment-method-refused": ErrorKind(
        402, "Stripe refused the payment method", "Use another card; Stripe's own words are in the detail."
    ),
    "auto-topup-no-payment-method": ErrorKind(
        402,
        "The account has no payment method that can be charged",
        "Add a card that is valid, then switch auto top-up on again. Nothing was changed.",
    ),
    "insufficient-credits": ErrorKind(
        402,
        "The account has too few credits",
        "Add credits, or ask for less; needed and available are in the problem. Nothing was written.",
    ),
    "forbidden": ErrorKind(403, "This token may not do that", "Use the token of the account, or the admin's."),
    "not-found": ErrorKind(404, "There is no such thing", "Check the id; ids are case-sensitive."),
    "unknown-account": ErrorKind(404, "There is no such account", "Check the account id; create the account first."),
    "method-not-allowed": ErrorKind(
        405, "The path does not take this method", "The Allow header names those it takes."
    ),
    "idempotency-conflict": ErrorKind(
        409,
        "The id was used before with another payload",
        "Send the first payload again to get its answer, or take a new id.",
    ),
    "hold-closed": ErrorKind(
        409, "The hold is over", "Read its state in the problem; place a new hold, or consume. Nothing was changed."
    ),
    "stage-forbids": ErrorKind(
        409, "The grant is at a stage that does not allow this", "Read the grant: its mirroring has ended already."
    ),
    "too-large": ErrorKind(413, "The body is too large", "Send less; the limit in bytes is in the problem."),
    "invalid-request": ErrorKind(
        422, "A field of the request is outside what is allowed", "Each entry of errors names a field and its range."
    ),
    "limit-exceeded": ErrorKind(
        422, "The account would hold more than an account may", "Grant less; the limit is in the problem."
    ),
    "internal": ErrorKind(
        500,
        "Something went wrong on our side",
        "The log has the request id. A repeat with the same operation id is safe.",
    ),
    "service-unavailable": ErrorKind(
        503,
        "A part that this needs does not answer",
        "Whether the work was done is unknown. Repeat the request with the same operation id: it has one effect.",
    ),
}

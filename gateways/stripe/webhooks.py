"""Stripe's webhooks: whether a request is Stripe's, is recent, and is an event at all."""

import json
from dataclasses import dataclass
from typing import Any

import stripe

# Stripe's own tolerance for old signatures. Its library lets signatures from the future through; we do not.
TOLERANCE_SECONDS = 300


class BadWebhook(Exception):
    """The request is not an event of Stripe's that we may believe. ``reason`` is one word, for the metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True)
class VerifiedEvent:
    """An event whose signature holds. ``payload`` is the whole event."""

    event_id: str
    type: str
    payload: dict[str, Any]


def verify_event(body: bytes, signature: str | None, *, secret: str, now: float) -> VerifiedEvent:
    """The event in ``body``, signed with ``secret`` within five minutes of ``now`` (seconds since the epoch).

    The signature is over the raw bytes (https://docs.stripe.com/webhooks#verify-manually). Raises BadWebhook.
    """
    if not signature:
        raise BadWebhook("unsigned", "The Stripe-Signature header is missing.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadWebhook("not-text", "The body is not UTF-8.") from None
    try:
        stripe.WebhookSignature.verify_header(text, signature, secret)
    except stripe.SignatureVerificationError:
        raise BadWebhook("signature", "The signature does not match the body.") from None
    _check_time(signature, now)
    return _event(text)


def _check_time(signature: str, now: float) -> None:
    timestamp = int(next(part[2:] for part in signature.split(",") if part.startswith("t=")))
    if timestamp < now - TOLERANCE_SECONDS:
        raise BadWebhook("stale", f"The signature is older than {TOLERANCE_SECONDS} seconds.")
    if timestamp > now + TOLERANCE_SECONDS:
        raise BadWebhook("future", f"The signature is more than {TOLERANCE_SECONDS} seconds in the future.")


def _event(text: str) -> VerifiedEvent:
    try:
        payload = json.loads(text)
    except ValueError:
        raise BadWebhook("not-json", "The body is not JSON.") from None
    if not isinstance(payload, dict):
        raise BadWebhook("not-an-event", "The body is not an event.")
    event_id, event_type, data = payload.get("id"), payload.get("type"), payload.get("data")
    named = isinstance(event_id, str) and 1 <= len(event_id) <= 255 and isinstance(event_type, str)
    if not named or payload.get("object") != "event" or not isinstance(data, dict):
        raise BadWebhook("not-an-event", "The body is not an event: it needs object, id, type and data.")
    if "\\u0000" in text:
        raise BadWebhook("not-text", "The body has a NUL character, which the database can't store.")
    return VerifiedEvent(event_id=str(event_id), type=str(event_type), payload=payload)

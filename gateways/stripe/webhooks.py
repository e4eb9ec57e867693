"""Stripe's webhooks: whether a request is Stripe's, is recent, and is an event at all."""

import hashlib
import hmac
import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

# Stripe's own tolerance for old signatures. Its library lets signatures from the future through; we do not.
TOLERANCE_SECONDS = 300

_SECONDS = re.compile(r"[0-9]{1,15}")
# What JSON can say and the database can't store: a zero byte, or half of a surrogate pair.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


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

    The signature is over the raw bytes (https://docs.stripe.com/webhooks#verify-manually). Raises BadWebhook, and
    nothing else, whatever the request holds.
    """
    if not signature:
        raise BadWebhook("unsigned", "The Stripe-Signature header is missing.")
    timestamp, signatures = _parts(signature)
    _check_signature(body, timestamp, signatures, secret=secret)
    _check_time(int(timestamp), now)
    return _event(body)


def _parts(signature: str) -> tuple[str, list[str]]:
    """The header's timestamp, and its signatures of the scheme v1: two while a secret is being replaced."""
    named = [part.partition("=")[::2] for part in signature.split(",")]
    timestamps = [value for name, value in named if name == "t"]
    if len(timestamps) != 1 or not _SECONDS.fullmatch(timestamps[0]):
        raise BadWebhook("signature", "The Stripe-Signature header has no timestamp that can be read.")
    return timestamps[0], [value for name, value in named if name == "v1"]


def _check_signature(body: bytes, timestamp: str, signatures: list[str], *, secret: str) -> None:
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest().encode()
    # As bytes: text that is not ASCII can't be compared in constant time.
    matches = [hmac.compare_digest(expected, each.encode(errors="replace")) for each in signatures]
    # Without a secret anybody could sign.
    if not secret or not any(matches):
        raise BadWebhook("signature", "The signature does not match the body.")


def _check_time(timestamp: int, now: float) -> None:
    if timestamp < now - TOLERANCE_SECONDS:
        raise BadWebhook("stale", f"The signature is older than {TOLERANCE_SECONDS} seconds.")
    if timestamp > now + TOLERANCE_SECONDS:
        raise BadWebhook("future", f"The signature is more than {TOLERANCE_SECONDS} seconds in the future.")


def _event(body: bytes) -> VerifiedEvent:
    payload = _json(body)
    if not isinstance(payload, dict):
        raise BadWebhook("not-an-event", "The body is not an event.")
    event_id, event_type, data = payload.get("id"), payload.get("type"), payload.get("data")
    named = _is_name(event_id) and _is_name(event_type)
    if not named or payload.get("object") != "event" or not isinstance(data, dict):
        raise BadWebhook("not-an-event", "The body is not an event: it needs object, id, type and data.")
    _refuse_unstorable(payload)
    return VerifiedEvent(event_id=str(event_id), type=str(event_type), payload=payload)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise BadWebhook("not-text", "The body is not UTF-8.") from None
    except (ValueError, RecursionError):
        raise BadWebhook("not-json", "The body is not JSON.") from None


def _refuse_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity as numbers; JSON does not know them."""
    raise ValueError(name)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 255


def _refuse_unstorable(payload: dict[str, Any]) -> None:
    """Stored is the payload whole or not at all: the database would refuse these with an error of its own."""
    left: list[Any] = [payload]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend((*value.keys(), *value.values()))
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, str) and _UNSTORABLE.search(value):
            raise BadWebhook("not-text", "The body has a character that can't be stored: a NUL or half of a pair.")
        elif isinstance(value, float) and not math.isfinite(value):
            raise BadWebhook("not-json", "The body has a number that is too large.")

"""Which requests are believed to be events of Stripe's, and that nothing else gets through or breaks the check."""

import hashlib
import hmac
import json
from typing import Any

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from gateways.stripe.webhooks import BadWebhook, VerifiedEvent, verify_event

SECRET = "whsec_of_the_tests"
NOW = 1_800_000_000.0
EVENT: dict[str, Any] = {
    "id": "evt_1",
    "object": "event",
    "type": "billing.credit_grant.created",
    "data": {"object": {"id": "credgr_1", "name": "Crédits ✓"}},
}
BODY = json.dumps(EVENT).encode()


def signature(body: bytes, *, at: float = NOW, secret: str = SECRET) -> str:
    """The signature that Stripe documents: HMAC-SHA256 over the timestamp, a dot and the body."""
    return hmac.new(secret.encode(), f"{int(at)}.".encode() + body, hashlib.sha256).hexdigest()


def signed(body: bytes, *, at: float = NOW, secret: str = SECRET) -> str:
    """The whole header."""
    return f"t={int(at)},v1={signature(body, at=at, secret=secret)}"


def verify(body: bytes = BODY, header: str | None = None) -> VerifiedEvent:
    """Verifies with the tests' secret and time, signed unless told otherwise."""
    return verify_event(body, signed(body) if header is None else header, secret=SECRET, now=NOW)


def refused(body: bytes = BODY, header: str | None = None) -> str:
    """Why the request is not believed."""
    with pytest.raises(BadWebhook) as told:
        verify(body, header)
    assert told.value.message.endswith(".")
    return told.value.reason


def test_a_good_event_is_believed_whole() -> None:
    assert verify() == VerifiedEvent("evt_1", "billing.credit_grant.created", EVENT)


def test_the_signature_is_the_librarys() -> None:
    theirs = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET, int(NOW))
    assert theirs == signed(BODY)


@pytest.mark.parametrize("header", [None, ""])
def test_an_unsigned_event_is_not_believed(header: str | None) -> None:
    with pytest.raises(BadWebhook) as told:
        verify_event(BODY, header, secret=SECRET, now=NOW)
    assert told.value.reason == "unsigned"


def test_a_wrong_secret_or_a_changed_body_is_noticed() -> None:
    assert refused(header=signed(BODY, secret="whsec_other")) == "signature"
    for changed in (BODY + b" ", BODY[:-1], BODY.replace(b"credgr_1", b"credgr_2"), b""):
        assert refused(changed, signed(BODY)) == "signature"


def test_without_a_secret_nobody_is_believed() -> None:
    with pytest.raises(BadWebhook):
        verify_event(BODY, signed(BODY, secret=""), secret="", now=NOW)


@pytest.mark.parametrize(
    ("age_seconds", "reason"),
    [(300, None), (301, "stale"), (10**6, "stale"), (-300, None), (-301, "future"), (-(10**6), "future"), (0, None)],
)
def test_a_signature_is_good_for_five_minutes_on_either_side(age_seconds: int, reason: str | None) -> None:
    header = signed(BODY, at=NOW - age_seconds)
    if reason is None:
        assert verify(header=header).event_id == "evt_1"
    else:
        assert refused(header=header) == reason


def test_half_a_second_more_is_too_much() -> None:
    with pytest.raises(BadWebhook, match="older"):
        verify_event(BODY, signed(BODY), secret=SECRET, now=NOW + 300.5)


def test_one_good_signature_of_several_is_enough() -> None:
    header = f"t={int(NOW)},v1={'0' * 64},v1={signature(BODY)},v0=old"
    assert verify(header=header).event_id == "evt_1"


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        ",",
        "=",
        "t=,v1=",
        f"t={int(NOW)}",
        f"v1={signature(BODY)}",
        f"t={int(NOW)},v0={signature(BODY)}",
        f"t=abc,v1={signature(BODY)}",
        f"t={int(NOW)}=0,v1={signature(BODY)}",
        f"t=-{int(NOW)},v1={signature(BODY)}",
        f"t={int(NOW)},t={int(NOW)},v1={signature(BODY)}",
        f"t={'9' * 5000},v1={signature(BODY)}",
        f"t=١٢٣,v1={signature(BODY)}",
        f"t={int(NOW)},v1=é",
        f"t={int(NOW)},v1=\ud800",
        f"t={int(NOW)},v1={signature(BODY)[:-1]}",
    ],
)
def test_a_malformed_header_is_a_bad_signature(header: str) -> None:
    assert refused(header=header) == "signature"


def event_with(**fields: Any) -> bytes:
    """The event with other fields."""
    return json.dumps(EVENT | fields).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "not-text"),
        (BODY[:-20], "not-json"),
        (b"", "not-json"),
        (b"[" * 100_000, "not-json"),
        (BODY.replace(b'"evt_1"', b"NaN"), "not-json"),
        (event_with(data={"n": float("inf")}), "not-json"),
        (BODY.replace(b'"credgr_1"', b"1e999"), "not-json"),
        (b"[]", "not-an-event"),
        (b"null", "not-an-event"),
        (b'"evt_1"', "not-an-event"),
        (b"{}", "not-an-event"),
        (event_with(id=""), "not-an-event"),
        (event_with(id=1), "not-an-event"),
        (event_with(id="e" * 256), "not-an-event"),
        (event_with(type=None), "not-an-event"),
        (event_with(type=""), "not-an-event"),
        (event_with(object="v2.core.event"), "not-an-event"),
        (event_with(data=[]), "not-an-event"),
        (event_with(data={"a": "\x00"}), "not-text"),
        (event_with(data={"a\x00": [1]}), "not-text"),
        (event_with(data={"a": [{"b": "\ud800"}]}), "not-text"),
        (event_with(id="evt_\x00"), "not-text"),
    ],
)
def test_what_is_no_event_or_cannot_be_stored_is_refused_though_signed(body: bytes, reason: str) -> None:
    assert refused(body) == reason


def test_words_that_only_look_like_a_zero_byte_are_let_through() -> None:
    body = event_with(data={"path": "C:\\u0000"})
    assert b"\\\\u0000" in body
    assert verify(body).payload["data"]["path"] == "C:\\u0000"


@given(header=st.text(max_size=200))
def test_no_header_breaks_the_check(header: str) -> None:
    with pytest.raises(BadWebhook):
        verify_event(BODY, header, secret=SECRET, now=NOW)


@given(
    header=st.lists(
        st.tuples(st.sampled_from(["t", "v1", "v0", " t", ""]), st.sampled_from([str(int(NOW)), signature(BODY), "x"])),
        max_size=5,
    )
)
def test_a_header_of_good_parts_is_believed_only_whole(header: list[tuple[str, str]]) -> None:
    words = ",".join(f"{name}={value}" for name, value in header)
    good = [value for name, value in header if name == "t"] == [str(int(NOW))] and ("v1", signature(BODY)) in header
    if good:
        assert verify(header=words).event_id == "evt_1"
    else:
        assert refused(header=words or "-") == "signature"


@given(body=st.binary(max_size=300))
def test_no_signed_body_breaks_the_check(body: bytes) -> None:
    with pytest.raises(BadWebhook):
        verify(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.dictionaries(st.text(max_size=5), JSON, max_size=4), event_id=JSON | st.just("evt_1"))
def test_whatever_is_believed_can_be_stored(data: dict[str, Any], event_id: object) -> None:
    body = json.dumps(EVENT | {"data": data, "id": event_id}).encode()
    try:
        event = verify(body)
    except BadWebhook:
        return
    stored = json.dumps(event.payload, allow_nan=False, ensure_ascii=False)
    assert "\x00" not in "".join(_texts(event.payload))
    assert json.loads(stored.encode()) == event.payload == json.loads(body)


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []

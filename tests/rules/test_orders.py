"""Orders: the bounds, and the names that belong to the system."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.rules.errors import InvalidOrder
from ledger.rules.limits import MAX_CREDITS_PER_OPERATION, MAX_OPERATION_ID_LENGTH
from ledger.rules.orders import (
    RESERVED_PREFIXES,
    check_credits,
    check_expiry,
    check_operation_id,
    check_order,
    check_text,
)
from messages.grants import GrantOrder, GrantType

VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="/")
OPERATION_IDS = st.text(VISIBLE, min_size=1, max_size=MAX_OPERATION_ID_LENGTH)


@given(OPERATION_IDS)
def test_an_operation_id_is_anything_printable_that_is_not_the_systems(operation_id: str) -> None:
    if operation_id.startswith(RESERVED_PREFIXES):
        with pytest.raises(InvalidOrder, match="belongs to the system"):
            check_operation_id(operation_id)
    else:
        check_operation_id(operation_id)


@pytest.mark.parametrize(
    "operation_id",
    ["", "x" * (MAX_OPERATION_ID_LENGTH + 1), "a b", "a/b", "revoke/x", "ä", "a\n", "a\x00", "\x7f", "\u202e"],
)
def test_what_is_no_operation_id(operation_id: str) -> None:
    with pytest.raises(InvalidOrder) as refused:
        check_operation_id(operation_id)
    assert refused.value.field == "operationId"


@given(st.sampled_from(RESERVED_PREFIXES), st.text(VISIBLE, max_size=40))
def test_the_systems_prefixes_are_reserved(prefix: str, rest: str) -> None:
    with pytest.raises(InvalidOrder):
        check_operation_id(prefix + rest)


def test_the_reserved_prefixes_are_those_of_the_contract() -> None:
    assert set(RESERVED_PREFIXES) == {"rollover-", "free-", "referral-", "auto-topup-", "reversal-"}


@given(st.integers(-(2**70), 2**70))
def test_an_amount_is_within_its_bounds(credits: int) -> None:
    if 1 <= credits <= MAX_CREDITS_PER_OPERATION:
        check_credits(credits)
    else:
        with pytest.raises(InvalidOrder, match="credits"):
            check_credits(credits)


@given(st.text(st.characters(), max_size=50))
def test_a_text_that_is_accepted_can_be_stored(text: str) -> None:
    try:
        check_text("description", text, longest=40)
    except InvalidOrder:
        assert len(text) > 40 or "\x00" in text or any("\ud800" <= each <= "\udfff" for each in text)
    else:
        assert text.encode().decode() == text


@pytest.mark.parametrize("grant_type", [GrantType.ADMIN, GrantType.ROLLOVER, GrantType.PURCHASE])
def test_only_free_and_referral_take_an_expiry(grant_type: GrantType) -> None:
    order = GrantOrder("x", "a", grant_type, 1, expires_at=datetime(2999, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidOrder, match="never expires"):
        check_order(order)


def test_an_expiry_is_after_now() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    check_expiry(GrantOrder("x", "a", GrantType.FREE, 1, expires_at=now + timedelta(microseconds=1)), now)
    with pytest.raises(InvalidOrder, match="not after now"):
        check_expiry(GrantOrder("x", "a", GrantType.FREE, 1, expires_at=now), now)

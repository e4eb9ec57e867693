"""Auto top-up's arithmetic: enough to reach the target or to pay the waiting request, never more than is allowed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.rules.errors import InvalidOrder
from ledger.rules.limits import MAX_MONTHLY_LIMIT_CENTS
from ledger.rules.money import Price, credits_to_cents
from ledger.rules.topping_up import NoTopUp, TopUpRule, check_purchase, check_rule, sentence_of, top_up_credits

CAPS = {"user": 10_000, "organization": 100_000}
KINDS = st.sampled_from(sorted(CAPS))
PRICES = st.one_of(
    st.just(Price()),
    st.just(Price(3, 7)),
    st.builds(Price, st.integers(1, 1_000), st.integers(1, 1_000)),
)
RULES = st.integers(0, 99_999).flatmap(
    lambda threshold: st.builds(
        TopUpRule,
        st.just(threshold),
        st.integers(threshold + 1, 1_000_000),
        st.one_of(st.none(), st.integers(0, 300_000)),
    )
)
NETS = st.one_of(st.integers(-2_000_000, 2_000_000), st.integers(-600, 600))
NEEDED = st.one_of(st.just(0), st.integers(1, 200_000))
RULE = TopUpRule(threshold=500, target=2_000, monthly_limit_cents=None)


def bought(
    rule: TopUpRule = RULE,
    *,
    net: int,
    remaining: int | None = None,
    needed: int = 0,
    others: Sequence[int] = (),
    kind: str = "user",
    price: Price | None = None,
    spent_cents: int = 0,
) -> int | NoTopUp:
    """What is bought; all of a positive net can be spent unless told, and a credit costs a cent."""
    spendable = max(0, net) if remaining is None else remaining
    return top_up_credits(
        rule,
        kind=kind,
        price=price or Price(),
        net=net,
        remaining=spendable,
        needs=[need for need in (needed, *others) if need],
        spent_cents=spent_cents,
    )


@pytest.mark.parametrize(
    ("net", "needed", "credits"),
    [
        (499, 0, 1_501),  # up to the target
        (0, 0, 2_000),
        (-300, 0, 2_300),  # the debt as well
        (499, 400, 1_501),  # the request can be paid, the balance is low all the same
        (100, 5_100, 5_000),  # the shortfall is more than the way to the target
        (1_900, 2_500, 600),  # not low, but a request waits
        (1_999, 2_000, 500),  # one is lacking, the smallest purchase is made
        (-50, 3_000, 3_050),  # what the debt takes can't be spent
    ],
)
def test_so_much_is_bought(net: int, needed: int, credits: int) -> None:
    assert bought(net=net, needed=needed) == credits


def test_the_threshold_is_strict() -> None:
    assert bought(net=500) is NoTopUp.ENOUGH
    assert bought(net=499) == 1_501
    assert bought(TopUpRule(0, 10, None), net=0) is NoTopUp.ENOUGH
    assert bought(TopUpRule(0, 10, None), net=-1) == 500


def test_the_smallest_purchase_overshoots_the_target() -> None:
    assert bought(TopUpRule(500, 501, None), net=499) == 500


def test_what_is_held_counts_for_the_threshold_and_not_for_the_request() -> None:
    assert bought(net=5_000, remaining=0) is NoTopUp.ENOUGH
    assert bought(net=5_000, remaining=0, needed=700) == 700
    assert bought(net=400, remaining=0, needed=700) == 1_600


@pytest.mark.parametrize(("kind", "cap"), sorted(CAPS.items()))
def test_a_debt_larger_than_the_cap_never_charges_more_than_the_cap(kind: str, cap: int) -> None:
    for debt in (cap, cap + 1, 10 * cap):
        assert bought(net=-debt, kind=kind) == cap
        assert bought(net=-debt, needed=cap, kind=kind) == cap
        limited = replace(RULE, monthly_limit_cents=700)
        assert bought(limited, net=-debt, kind=kind) == 700


@pytest.mark.parametrize(("kind", "cap"), sorted(CAPS.items()))
def test_a_request_beyond_the_cap_alone_charges_nobody(kind: str, cap: int) -> None:
    assert bought(net=1_000, needed=cap + 1_000, kind=kind) == cap
    assert bought(net=1_000, needed=cap + 1_001, kind=kind) is NoTopUp.BEYOND_CAP
    # A balance that is too low is topped up whatever the request needs.
    assert bought(net=100, needed=cap + 1_001, kind=kind) == cap


@pytest.mark.parametrize(
    ("net", "needs", "credits"),
    [
        (1_000, (800, 800), 1_000),  # they lack 600, and the target more
        (1_900, (800, 800, 900), 600),  # all three at once
        (1_000, (7_000, 6_000, 5_000), 10_000),  # two of three: 5,000 and 6,000
        (600, (20_000, 800), 1_400),  # what can't be served counts for nothing beside what can
        (1_000, (20_000, 30_000), NoTopUp.BEYOND_CAP),
        (400, (20_000, 30_000), 10_000),  # too low all the same
        (1_000, (300, 300), NoTopUp.ENOUGH),
    ],
)
def test_requests_that_wait_together_are_served_together(
    net: int, needs: tuple[int, ...], credits: int | NoTopUp
) -> None:
    assert bought(net=net, others=needs) == credits
    assert bought(net=net, others=needs[::-1]) == credits


@given(KINDS, NETS, st.lists(st.integers(1, 30_000), min_size=1, max_size=6))
def test_as_many_requests_are_served_as_one_top_up_can(kind: str, net: int, needs: list[int]) -> None:
    def served(spendable: int) -> int:
        return sum(total <= spendable for total in accumulate(sorted(needs)))

    credits = bought(net=net, others=needs, kind=kind)
    after = 0 if isinstance(credits, NoTopUp) else credits
    assert served(max(0, net + after)) == served(max(0, net + CAPS[kind]))


def test_a_request_that_the_limit_leaves_unpaid_charges_nobody() -> None:
    limited = replace(RULE, monthly_limit_cents=1_500)
    assert bought(limited, net=1_000, needed=2_500) == 1_500
    assert bought(limited, net=1_000, needed=2_501) is NoTopUp.BEYOND_CAP
    assert bought(limited, net=100, needed=2_501) == 1_500


@pytest.mark.parametrize(("spent", "expected"), [(0, 1_000), (499, 501), (500, 500), (501, None), (9_999, None)])
def test_what_is_left_of_the_limit_bounds_what_is_bought(spent: int, expected: int | None) -> None:
    limited = replace(RULE, monthly_limit_cents=1_000)
    assert bought(limited, net=0, spent_cents=spent) == (expected or NoTopUp.LIMIT_REACHED)


def test_with_an_odd_price_the_limit_buys_what_it_pays_for() -> None:
    limited = replace(RULE, monthly_limit_cents=215)
    # 3 cents for 7 credits: 214 cents would pay for 499, 215 for 501.
    assert bought(limited, net=0, price=Price(3, 7)) == 501
    assert bought(limited, net=0, price=Price(3, 7), spent_cents=1) is NoTopUp.LIMIT_REACHED


@given(RULES, KINDS, PRICES, NETS, st.integers(0, 5_000), NEEDED, st.integers(0, 400_000))
@example(TopUpRule(0, 10_000, 300), "user", Price(3, 7), -20_000, 0, 30_000, 1)
def test_whatever_is_bought_is_allowed_wanted_and_of_use(
    rule: TopUpRule, kind: str, price: Price, net: int, held: int, needed: int, spent: int
) -> None:
    held = min(held, max(0, net))
    remaining = max(0, net) - held
    credits = bought(rule, net=net, remaining=remaining, needed=needed, kind=kind, price=price, spent_cents=spent)
    shortfall = max(0, needed - remaining)
    debt = max(0, -net)
    is_low = net < rule.threshold
    if isinstance(credits, NoTopUp):
        if credits is NoTopUp.ENOUGH:
            assert not is_low
            assert not shortfall
        if credits is NoTopUp.BEYOND_CAP:
            assert not is_low
            assert shortfall > 500 or rule.monthly_limit_cents is not None
        if credits is NoTopUp.LIMIT_REACHED:
            left = (rule.monthly_limit_cents or 0) - spent
            assert credits_to_cents(500, price) > left
        assert credits in {NoTopUp.ENOUGH, NoTopUp.BEYOND_CAP, NoTopUp.LIMIT_REACHED}
        return
    assert is_low or shortfall
    assert 500 <= credits <= CAPS[kind]
    wanted = max(rule.target - net, shortfall + debt if shortfall else 0)
    assert credits <= max(wanted, 500)
    if rule.monthly_limit_cents is None:
        assert credits == min(max(wanted, 500), CAPS[kind])
    else:
        assert credits_to_cents(credits, price) <= rule.monthly_limit_cents - spent
    if not is_low:
        assert remaining + credits >= needed


@given(KINDS, PRICES, NETS, NEEDED, RULES)
def test_a_top_up_that_ended_the_want_is_not_followed_by_another(
    kind: str, price: Price, net: int, needed: int, rule: TopUpRule
) -> None:
    """Unlimited, top-ups end after so many that reach the target, or the request can't be paid at all."""
    rule = replace(rule, monthly_limit_cents=None)
    for _ in range(4_000_000 // CAPS[kind]):
        credits = bought(rule, net=net, needed=needed, kind=kind, price=price)
        if isinstance(credits, NoTopUp):
            break
        net += credits
    else:
        pytest.fail("it never ends")
    assert net >= rule.threshold
    assert max(0, net) >= needed or needed - max(0, net) > CAPS[kind]


@pytest.mark.parametrize(
    ("kind", "changed", "field", "words"),
    [
        ("user", {"threshold": -1}, "threshold", "must be from 0 to 99999, not -1"),
        ("user", {"threshold": 100_000}, "threshold", "must be from 0 to 99999, not 100000"),
        ("organization", {"threshold": 1_000_000}, "threshold", "must be from 0 to 999999, not 1000000"),
        ("user", {"target": 500}, "target", "must be above the threshold: from 501 to 100000, not 500"),
        ("user", {"target": 100_001}, "target", "must be above the threshold: from 501 to 100000, not 100001"),
        (
            "organization",
            {"target": 1_000_001},
            "target",
            "must be above the threshold: from 501 to 1000000, not 1000001",
        ),
        ("user", {"monthly_limit_cents": -1}, "monthlyLimitCents", "must be null or from 0 to 100000000, not -1"),
        (
            "user",
            {"monthly_limit_cents": MAX_MONTHLY_LIMIT_CENTS + 1},
            "monthlyLimitCents",
            "must be null or from 0 to 100000000, not 100000001",
        ),
    ],
)
def test_a_rule_out_of_range_is_refused_with_the_range(
    kind: str, changed: dict[str, int], field: str, words: str
) -> None:
    with pytest.raises(InvalidOrder) as refused:
        check_rule(kind, replace(RULE, **changed))
    assert (refused.value.field, refused.value.problem) == (field, words)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("user", TopUpRule(0, 1, 0)),
        ("user", TopUpRule(99_999, 100_000, MAX_MONTHLY_LIMIT_CENTS)),
        ("organization", TopUpRule(999_999, 1_000_000, None)),
    ],
)
def test_a_rule_at_the_edges_is_allowed(kind: str, rule: TopUpRule) -> None:
    check_rule(kind, rule)


def test_a_purchase_is_from_500_to_100_000_credits() -> None:
    for credits in (500, 100_000):
        check_purchase(credits)
    for credits in (-500, 0, 499, 100_001):
        with pytest.raises(InvalidOrder, match=f"must be from 500 to 100000, not {credits}$") as refused:
            check_purchase(credits)
        assert refused.value.field == "credits"


def test_the_sentence_says_what_will_happen_with_its_numbers() -> None:
    assert sentence_of(TopUpRule(1_500, 20_000, 123_405), kind="user", currency="eur") == (
        "When the balance falls below 1,500 credits, your payment method is charged for as many as bring it back to "
        "20,000: at least 500 and at most 10,000 credits at a time, and at most 1,234.05 EUR a month in all."
    )
    assert sentence_of(TopUpRule(0, 1, None), kind="organization", currency="usd").endswith(
        "at least 500 and at most 100,000 credits at a time."
    )

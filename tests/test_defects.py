"""The defects of the system whose design we start from, in payments: which test here would have caught each.

The numbers are those of the survey of that system. Two of the sixteen have nothing here that could have them, and tests
say so: no meter event is sent (P-14), and no token is counted (P-16).
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

_OUTAGES = "tests/workflows/test_auto_topup_outages.py"
_PURCHASE = "tests/workflows/test_purchase.py"

CAUGHT_BY = {
    "P-1 a plan that scans all accounts, so that strangers conflict": (
        "tests/store/test_plans.py::test_every_statement_of_the_ledger_goes_by_an_index",
        "tests/store/test_topping_up.py::test_strangers_who_top_up_buy_and_are_granted_credits_never_conflict",
    ),
    "P-2 a grant that fails after the charge asks for money again": (
        "tests/faults/test_top_up_crashes.py::test_a_worker_killed_at_every_step_of_a_top_up",
        f"{_PURCHASE}::test_a_payment_that_was_given_up_and_that_stripe_made_all_the_same_gives_its_credits",
    ),
    "P-3 a crash between charge and grant, or a bank that takes its time, loses the credits": (
        f"{_PURCHASE}::test_a_webhook_of_a_hosted_page_whose_run_was_lost_grants_at_once",
        f"{_PURCHASE}::test_a_bank_that_takes_its_time_keeps_nobody_waiting_and_pays_later",
        "tests/faults/test_money_back.py::test_a_hosted_page_sells_credits_also_by_a_bank_that_takes_its_time",
    ),
    "P-4 a key for each minute charges twice, and a top-up is told twice": (
        "tests/faults/test_one_charge.py::test_64_consumptions_by_two_processes_cause_one_charge_and_all_go_through",
        f"{_OUTAGES}::test_an_outage_of_six_hours_switches_nothing_off_and_charges_once",
        "tests/rules/test_topping_up.py::test_a_top_up_that_ended_the_want_is_not_followed_by_another",
    ),
    "P-5 a debt is charged without a cap": (
        "tests/rules/test_topping_up.py::test_a_debt_larger_than_the_cap_never_charges_more_than_the_cap",
    ),
    "P-6 an outage switches it off, good cards are refused, the default is passed over, nobody is told": (
        "tests/faults/test_one_charge.py::test_an_outage_turns_nothing_off_and_ends_in_one_charge",
        "tests/rules/test_cards.py::test_a_card_is_good_through_the_end_of_its_month",
        "tests/gateways/test_payment_methods.py::test_the_default_comes_first_and_costs_one_question",
        "tests/faults/test_one_charge.py::test_a_declined_card_turns_it_off_once_and_is_not_tried_again",
    ),
    "P-7 a charge whose grant failed is retried by nobody": (
        f"{_OUTAGES}::test_an_attempt_whose_run_was_lost_after_the_charge_is_carried_on_and_not_charged_again",
        "tests/store/test_paying.py::test_what_waits_is_looked_at_in_turn",
    ),
    "P-8 an organization's declined card is hammered": (
        "tests/faults/test_one_charge.py::test_a_declined_card_turns_it_off_once_and_is_not_tried_again",
        "tests/workflows/test_auto_topup.py::test_a_card_that_always_declines_is_charged_once_until_the_owner_acts",
    ),
    "P-9 a refund takes everything, or nothing": (
        "tests/faults/test_money_back.py::test_refunds_are_cumulative_and_a_failed_refund_restores",
        "tests/store/test_reversing.py::test_what_is_missing_is_taken_from_other_credits_in_burn_order",
    ),
    "P-10 disputes are ignored": (
        "tests/faults/test_money_back.py::test_a_dispute_freezes_takes_and_gives_back",
        "tests/faults/test_money_back.py::test_an_inquiry_freezes_and_takes_nothing",
    ),
    "P-11 events are not stored, overwrite what is newer, and their amounts are believed": (
        "tests/faults/test_webhook_storm.py::test_a_storm_of_events_ends_where_the_ordered_stream_ends",
        "tests/store/test_reversal_orders.py::test_every_order_ends_in_the_same_books",
        "tests/workflows/test_auto_topup.py::test_a_payment_that_brings_less_gives_no_credits_and_is_told",
    ),
    "P-12 a webhook overwrites the settings": (
        "tests/test_defects.py::test_nothing_but_the_owners_request_turns_it_on",
    ),
    "P-13 settings are not validated": (
        "tests/rules/test_topping_up.py::test_a_rule_out_of_range_is_refused_with_the_range",
        "tests/store/test_paying.py::test_a_purchase_out_of_bounds_leaves_no_row",
    ),
    "P-14 a repeated meter event counts twice": ("tests/test_defects.py::test_no_meter_event_is_sent",),
    "P-15 money in floats": (
        "tests/rules/test_money.py::test_what_floats_got_wrong",
        "tests/test_architecture.py::test_no_money_is_a_float",
    ),
    "P-16 output tokens are recorded as input tokens": ("tests/test_defects.py::test_no_token_is_counted",),
}


@pytest.mark.parametrize("defect", CAUGHT_BY)
def test_there_is_a_test_that_would_have_caught(defect: str) -> None:
    for named in CAUGHT_BY[defect]:
        path, _, test = named.partition("::")
        tree = ast.parse((ROOT / path).read_text())
        tests = {each.name for each in tree.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert test in tests, f"{defect}: {named} is not there"


def test_nothing_but_the_owners_request_turns_it_on() -> None:
    # What writes settings is one function of the ledger, and what calls that is the route and the message.
    assert _who_names("write_settings") == {"ledger/store/top_ups.py", "ledger/topping_up.py"}
    assert {path.partition("/")[0] for path in _who_names("set_auto_topup")} == {"api", "client", "ledger"}


def test_no_meter_event_is_sent() -> None:
    assert _who_names("meter_events") == set()


def test_no_token_is_counted() -> None:
    assert _who_names("output_tokens") == set()


def _who_names(name: str) -> set[str]:
    folders = ("activities", "api", "client", "gateways", "ledger", "workflows")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {str(path.relative_to(ROOT)) for path in files if _names(path, name)}


def _names(path: Path, name: str) -> bool:
    nodes = ast.walk(ast.parse(path.read_text()))
    return any(
        (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name)
        for node in nodes
    )

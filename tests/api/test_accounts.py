"""Accounts, tokens, tickets, payment methods and balances over HTTP."""

import pytest

from gateways.temporal.flows import FlowRefused, FlowUnavailable
from messages.failures import Failure
from tests.api.flows import DECLINED
from tests.api.running import RunningApi, new_id


async def test_a_user_gets_its_free_grant_with_its_account(api: RunningApi) -> None:
    answer = await api.admin.post("/v1/accounts", json={"kind": "user", "name": "Ada", "email": "ada@example.com"})
    assert answer.status_code == 201
    account = answer.json()
    assert account["stripeCustomerId"] is None
    assert account["nextQuotaReset"].endswith("Z")
    assert account["referralCode"].startswith("ref-")
    assert (await api.admin.get(f"/v1/accounts/{account['accountId']}")).json() == account

    balance = (await api.admin.get(f"/v1/accounts/{account['accountId']}/balance")).json()
    assert balance == {
        "accountId": account["accountId"],
        "seq": 1,
        "prevSeq": 1,
        "usage": 0,
        "remainingBalance": 500,
        "netBalance": 500,
        "debt": 0,
        "held": 0,
        "balanceBreakdown": {"free": 500, "referral": 0, "admin": 0, "rollover": 0, "purchase": 0},
        "nextQuotaReset": account["nextQuotaReset"],
    }


async def test_an_organization_gets_no_grant(api: RunningApi) -> None:
    account_id = await api.open_account(kind="organization", freeCredits=None)
    assert (await api.admin.get(f"/v1/accounts/{account_id}/grants")).json() == {"data": [], "nextCursor": None}


async def test_a_repeated_external_id_answers_with_the_same_account(api: RunningApi) -> None:
    body = {"kind": "user", "name": "Ada", "externalId": new_id()}
    first = await api.admin.post("/v1/accounts", json=body)
    again = await api.admin.post("/v1/accounts", json=body | {"name": "Somebody else"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()


async def test_an_external_id_of_the_other_kind_is_a_conflict(api: RunningApi) -> None:
    external_id = new_id()
    await api.open_account(externalId=external_id)
    other = {"kind": "organization", "name": "Ada & Co", "externalId": external_id}
    answer = await api.admin.post("/v1/accounts", json=other)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency-conflict")


async def test_a_token_reads_its_own_account(api: RunningApi, account: str) -> None:
    answer = await api.admin.post(f"/v1/accounts/{account}/tokens")
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    async with api.client(answer.json()["token"]) as holder:
        assert (await holder.get(f"/v1/accounts/{account}")).json()["accountId"] == account


async def test_an_unknown_account_has_no_token(api: RunningApi) -> None:
    answer = await api.admin.post("/v1/accounts/01890000-0000-7000-8000-000000000000/tokens")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")


async def test_a_payment_method_is_attached_and_shown_with_the_account(api: RunningApi, account: str) -> None:
    answer = await api.admin.put(f"/v1/accounts/{account}/payment-method", json={"paymentMethodId": "pm_card_visa"})
    assert answer.status_code == 200
    method = answer.json()
    assert (method["paymentMethodId"], method["brand"], method["last4"]) == ("pm_1", "visa", "4242")
    assert (await api.admin.get(f"/v1/accounts/{account}")).json()["paymentMethod"] == method


async def test_a_payment_method_that_stripe_refuses_is_a_402(api: RunningApi, account: str) -> None:
    answer = await api.admin.put(f"/v1/accounts/{account}/payment-method", json={"paymentMethodId": DECLINED})
    assert answer.status_code == 402
    problem = answer.json()
    assert (problem["code"], problem["detail"]) == ("payment-method-refused", "Your card was declined.")
    assert (problem["stripeCode"], problem["declineCode"]) == ("card_declined", "generic_decline")
    assert (await api.admin.get(f"/v1/accounts/{account}")).json()["paymentMethod"] is None


@pytest.mark.parametrize(
    "error",
    [
        FlowUnavailable("Temporal did not answer within 15 s (TimeoutError)."),
        FlowRefused(Failure.STRIPE_OUTAGE, "Stripe is away.", {}),
        FlowRefused(Failure.STRIPE_OUTCOME_UNKNOWN, "Nobody knows.", {}),
    ],
)
async def test_a_payment_method_that_waits_for_stripe_says_what_to_do(
    api: RunningApi, account: str, error: Exception
) -> None:
    api.flows.cannot_attach = error
    try:
        answer = await api.admin.put(f"/v1/accounts/{account}/payment-method", json={"paymentMethodId": "pm_card_visa"})
    finally:
        api.flows.cannot_attach = None
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["retryable"]) == (503, "service-unavailable", True)
    assert problem["detail"] == (
        "The payment method could not be attached yet: Stripe, or a part of ours, does not answer. Nothing is charged. "
        "Send the request again in a minute."
    )


async def test_the_payment_method_of_an_unknown_account(api: RunningApi) -> None:
    answer = await api.admin.put("/v1/accounts/nobody/payment-method", json={"paymentMethodId": "pm_card_visa"})
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown-account")


@pytest.mark.parametrize("name", ["Ada Lovelace", "Ærøskøbing 🚢", "x" * 200])
async def test_names_are_given_back_as_they_came(api: RunningApi, name: str) -> None:
    account_id = await api.open_account(name=name)
    assert (await api.admin.get(f"/v1/accounts/{account_id}")).json()["name"] == name


async def test_the_test_clock_moves_expiry(api: RunningApi) -> None:
    """The only test that moves the shared clock: a free grant made before ends at its instant, not at a booking."""
    account_id = await api.open_account(freeCredits=100)
    before = (await api.admin.get(f"/v1/accounts/{account_id}/balance")).json()
    answer = await api.admin.post("/v1/test-clock", json={"advanceSeconds": 32 * 86_400})
    assert answer.status_code == 200
    assert answer.json()["now"] > before["nextQuotaReset"]
    assert answer.json()["standInTold"] is False
    after = (await api.admin.get(f"/v1/accounts/{account_id}/balance")).json()
    assert (before["remainingBalance"], after["remainingBalance"]) == (100, 0)


async def test_the_test_clock_moves_ten_years_in_all(api: RunningApi) -> None:
    nine_years = 9 * 366 * 86_400
    assert (await api.admin.post("/v1/test-clock", json={"advanceSeconds": nine_years})).status_code == 200
    answer = await api.admin.post("/v1/test-clock", json={"advanceSeconds": nine_years})
    assert answer.status_code == 422, answer.text
    assert "ten years" in answer.json()["detail"]

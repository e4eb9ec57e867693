"""Whatever is sent to the stand-in, Stripe would take: stripe-mock knows its parameters."""

import re
import time

import httpx

from stripe_sandbox.resources import ENDPOINTS
from tests.sandbox.drive import use_everything
from tests.sandbox.replay import AUTHORIZATION, replay
from tests.sandbox.standin import StandIn


async def test_the_walk_uses_every_endpoint(stand_in: StandIn) -> None:
    await use_everything(stand_in, int(time.time()))
    requests = await stand_in.look("requests")
    for endpoint in ENDPOINTS:
        pattern = re.sub(r"\{\w+\}", "[^/]+", endpoint.address)
        assert any(
            request["method"] == endpoint.method and re.fullmatch(pattern, request["path"]) for request in requests
        ), f"{endpoint.method} {endpoint.address} is never used"


async def test_stripe_mock_refuses_none_of_the_requests(
    stand_in: StandIn, stripe_mock: str, http: httpx.AsyncClient
) -> None:
    await use_everything(stand_in, int(time.time()))
    for request in await stand_in.look("requests"):
        answer = await replay(http, stripe_mock, request)
        assert answer.status_code == 200, f"{request['method']} {request['path']} {request['form']}: {answer.text}"


async def test_stripe_mock_would_have_noticed(stripe_mock: str, http: httpx.AsyncClient) -> None:
    unknown = await http.post(f"{stripe_mock}/v1/customers", data={"nickname": "Ada"}, headers=AUTHORIZATION)
    assert unknown.status_code == 400
    missing = await http.post(f"{stripe_mock}/v1/billing/credit_grants", data={"name": "x"}, headers=AUTHORIZATION)
    assert missing.status_code == 400

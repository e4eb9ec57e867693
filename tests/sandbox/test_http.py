"""The protocol below the objects: keys, encodings, limits, unknown addresses, the request log."""

import base64
from pathlib import Path

import httpx
import pytest

from stripe_sandbox.app import create_app
from stripe_sandbox.config import SandboxConfig
from tests.sandbox.serving import served
from tests.sandbox.standin import API_KEY, StandIn

AUTHORIZATION = {"Authorization": f"Bearer {API_KEY}"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def basic(user: str) -> str:
    """Return an HTTP Basic header with that user and no password."""
    return "Basic " + base64.b64encode(f"{user}:".encode()).decode()


@pytest.mark.parametrize("authorization", [f"Bearer {API_KEY}", basic(API_KEY)])
async def test_both_ways_to_give_the_key_work(stand_in: StandIn, http: httpx.AsyncClient, authorization: str) -> None:
    answer = await http.get(f"{stand_in.url}/v1/customers", headers={"Authorization": authorization})
    assert answer.status_code == 200


@pytest.mark.parametrize("authorization", ["", "Bearer pk_test_x", "Bearer", "Basic !!", basic(""), "Digest x"])
async def test_anything_else_is_no_key(stand_in: StandIn, http: httpx.AsyncClient, authorization: str) -> None:
    answer = await http.get(f"{stand_in.url}/v1/customers", headers={"Authorization": authorization})
    assert (answer.status_code, answer.json()["error"]["type"]) == (401, "invalid_request_error")
    assert answer.headers["www-authenticate"].startswith("Basic")


async def test_one_key_may_be_the_only_one(tmp_path: Path, http: httpx.AsyncClient) -> None:
    config = SandboxConfig(data_dir=tmp_path, webhook_url="http://127.0.0.1:9/", webhook_secret="w", api_key="sk_1")
    async with served(create_app(config)) as url:
        for key, status in (("sk_1", 200), ("sk_2", 401)):
            answer = await http.get(f"{url}/v1/events", headers={"Authorization": f"Bearer {key}"})
            assert answer.status_code == status


async def test_unknown_addresses_and_methods_are_404(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    for method, path in (("GET", "/v1/unicorns"), ("PUT", "/v1/customers"), ("GET", "/"), ("GET", "/v1/customers/a/b")):
        answer = await http.request(method, stand_in.url + path, headers=AUTHORIZATION)
        assert answer.status_code == 404
        assert answer.json()["error"]["message"].startswith(f"Unrecognized request URL ({method}: {path})")


async def test_versions_and_request_ids_are_in_the_headers(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    plain = await http.get(f"{stand_in.url}/v1/customers", headers=AUTHORIZATION)
    assert plain.headers["stripe-version"] == "2026-10-28.endive"
    assert plain.headers["request-id"].startswith("req_")
    named = await http.get(f"{stand_in.url}/v1/customers", headers=AUTHORIZATION | {"Stripe-Version": "2025-01-27"})
    assert named.headers["stripe-version"] == "2025-01-27"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b'{"name": "Ada"}', "application/json", 400),
        (b"name=Ada", "", 400),
        (b"name=%ff", FORM["Content-Type"], 400),
        (b"name=\xff", FORM["Content-Type"], 400),
        (b"&".join(b"a=1" for _ in range(1_001)), FORM["Content-Type"], 400),
        (b"name[a]=1&name=2", FORM["Content-Type"], 400),
        (b"name=1&name[a]=2", FORM["Content-Type"], 400),
        (b"metadata[a][b][c][d][e][f][g]=1", FORM["Content-Type"], 400),
        (b"name=" + b"x" * 300_000, FORM["Content-Type"], 413),
    ],
)
async def test_what_cannot_be_read_is_refused(
    stand_in: StandIn, http: httpx.AsyncClient, body: bytes, content_type: str, status: int
) -> None:
    headers = AUTHORIZATION | {"Content-Type": content_type}
    answer = await http.post(f"{stand_in.url}/v1/customers", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (status, "invalid_request_error")
    assert await stand_in.look("objects/customers") == []


async def test_any_text_is_taken_as_it_is(stand_in: StandIn) -> None:
    odd = "Ada & Söhne = 100 % + ☃ [x]"
    made = await stand_in.client.v1.customers.create_async({"name": odd, "metadata": {"1": odd}})
    kept = await stand_in.client.v1.customers.retrieve_async(made.id)
    assert (kept.name, kept.metadata.to_dict() if kept.metadata else None) == (odd, {"1": odd})


async def test_every_request_is_logged_with_its_form(stand_in: StandIn, http: httpx.AsyncClient) -> None:
    customer = await stand_in.customer()
    await stand_in.grant(customer.id, key="op-1", metadata={"operationId": "op-1"})
    await http.get(f"{stand_in.url}/v1/events", params=[("types[]", "a"), ("types[]", "b")])
    made, granted, refused = await stand_in.look("requests")
    assert (made["method"], made["path"], made["status"]) == ("POST", "/v1/customers", 200)
    assert (granted["idempotencyKey"], granted["form"]["metadata[operationId]"]) == ("op-1", "op-1")
    assert (refused["status"], refused["form"]) == (401, {"types[]": ["a", "b"]})
    assert refused["at"].endswith("Z")
    await http.delete(f"{stand_in.url}/_sandbox/requests")
    assert await stand_in.look("requests") == []

"""The WebSocket's requests and answers: every message gets exactly one, errors included."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from messages.grants import GrantStage, GrantStatus, GrantType
from tests.api.running import RunningApi, new_id

BALANCE_FIELDS = {
    "accountId", "seq", "prevSeq", "usage", "remainingBalance", "netBalance", "debt", "held", "balanceBreakdown",
    "nextQuotaReset",
}  # fmt: skip


async def test_init_tells_the_balance_and_the_time(api: RunningApi, account: str) -> None:
    await api.grant(account, 30)
    async with api.socket_of(account) as socket:
        answer = await socket.ask("init", repoUrl="git@github.com:ada/engine.git")
        over_http = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert answer["type"] == "init-response"
    assert answer["notifications"] == []
    assert datetime.fromisoformat(answer["serverTime"]).tzinfo is not None
    assert set(answer) == BALANCE_FIELDS | {"type", "requestId", "serverTime", "notifications"}
    assert {name: answer[name] for name in BALANCE_FIELDS} == over_http


async def test_usage_tells_the_balance(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        answer = await socket.ask("usage")
    assert answer["type"] == "usage-response"
    assert set(answer) == BALANCE_FIELDS | {"type", "requestId"}


async def test_ping(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        assert await socket.ask("ping") == {"type": "pong", "requestId": "r1"}


async def test_grant_status_is_the_workflows_own_answer(api: RunningApi, account: str) -> None:
    grant = await api.grant(account, 30)
    status = GrantStatus(
        operation_id=grant["operationId"],
        account_id=account,
        type=GrantType.ADMIN,
        credits=30,
        stage=GrantStage.STRIPE_PENDING,
        stage_since=datetime(2026, 11, 20, tzinfo=UTC),
        stripe_grant_id=None,
        reason=None,
        details="Waits for Stripe, which does not answer.",
    )
    api.flows.statuses[grant["operationId"]] = status
    async with api.socket_of(account) as socket:
        answer = await socket.ask("grant-status", operationId=grant["operationId"])
    assert answer == {
        "type": "grant-status-response",
        "requestId": "r1",
        "operationId": grant["operationId"],
        "accountId": account,
        "grantType": "admin",
        "credits": 30,
        "stage": "stripe-pending",
        "stageSince": "2026-11-20T00:00:00Z",
        "stripeGrantId": None,
        "reason": None,
        "details": "Waits for Stripe, which does not answer.",
        "answeredBy": "workflow",
    }


async def test_a_grant_without_a_workflow_is_answered_from_the_ledger(api: RunningApi, account: str) -> None:
    grant = await api.grant(account, 30)
    async with api.socket_of(account) as socket:
        answer = await socket.ask("grant-status", operationId=grant["operationId"])
    assert (answer["answeredBy"], answer["stage"], answer["credits"]) == ("ledger", "local", 30)


@pytest.mark.parametrize("operation_id", ["op-none", "zero\x00byte", "💸"])
async def test_grants_that_are_not_the_accounts_are_unknown(api: RunningApi, account: str, operation_id: str) -> None:
    theirs = await api.grant(await api.open_account())
    async with api.socket_of(account) as socket:
        for each in (operation_id, theirs["operationId"]):
            answer = await socket.ask("grant-status", operationId=each)
            assert (answer["type"], answer["error"]) == ("action-error", "not-found")


async def test_an_outage_is_an_answer_and_the_connection_lives(api: RunningApi, account: str) -> None:
    grant = await api.grant(account)
    async with api.socket_of(account) as socket:
        api.flows.down = True
        try:
            answer = await socket.ask("grant-status", operationId=grant["operationId"])
        finally:
            api.flows.down = False
        assert (answer["type"], answer["error"], answer["retryable"]) == ("action-error", "service-unavailable", True)
        assert (await socket.ask("ping"))["type"] == "pong"


BAD_FRAMES: list[tuple[str | bytes, str | None]] = [
    ("", None),
    ("nonsense", None),
    ("[]", None),
    ('"ping"', None),
    ("null", None),
    ("{}", None),
    ("[" * 10_000, None),
    (b'{"type": "ping", "requestId": "a"}', None),
    ('{"type": "ping", "requestId": NaN}', None),
    ('{"type": "ping"}', None),
    ('{"type": "ping", "requestId": 5}', None),
    ('{"type": "ping", "requestId": ""}', None),
    ('{"type": "ping", "requestId": "\\ud800"}', None),
    (json.dumps({"type": "ping", "requestId": "x" * 129}), None),
    ('{"requestId": "a"}', "a"),
    ('{"type": "nothing", "requestId": "a"}', "a"),
    ('{"type": ["ping"], "requestId": "a"}', "a"),
    ('{"type": "hold", "requestId": "a", "operationId": "o", "credits": 5}', "a"),
    ('{"type": "ping", "requestId": "a", "surprise": 1}', "a"),
    ('{"type": "usage", "requestId": "a", "repoUrl": "https://github.com/a/b"}', "a"),
    ('{"type": "init", "requestId": "a", "fromSeq": -1}', "a"),
    ('{"type": "init", "requestId": "a", "fromSeq": 1.0}', "a"),
    ('{"type": "init", "requestId": "a", "fromSeq": true}', "a"),
    ('{"type": "init", "requestId": "a", "fromSeq": 9223372036854775808}', "a"),
    ('{"type": "init", "requestId": "a", "repoUrl": "not a url"}', "a"),
    ('{"type": "init", "requestId": "a", "repoUrl": "https://github.com/only-owner"}', "a"),
    ('{"type": "init", "requestId": "a", "repoUrl": 5}', "a"),
    ('{"type": "grant-status", "requestId": "a"}', "a"),
    ('{"type": "grant-status", "requestId": "a", "operationId": ""}', "a"),
    ('{"type": "grant-status", "requestId": "a", "operationId": 5}', "a"),
]


async def test_frames_that_are_no_messages_get_one_answer_each(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        for frame, request_id in BAD_FRAMES:
            await socket.connection.send(frame)
            answer = await socket.next()
            assert (answer["type"], answer["error"]) == ("action-error", "invalid-message"), frame
            assert answer.get("requestId") == request_id, frame
            assert answer["retryable"] is False
            assert answer["message"]
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_a_type_that_is_not_built_is_named(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        answer = await socket.ask("prompt", promptId="p", prompt="Hello?")
    assert "'prompt'" in answer["message"]
    known = "init, usage, grant-status, consume, hold, extend, settle, release, set-auto-topup, buy-credits, ping"
    assert known in answer["message"]


REPOSITORIES = [
    "https://github.com/ada/engine",
    "https://github.com/Ada/Engine.git/",
    "http://gitlab.com/group/sub/project",
    "ssh://git@bitbucket.org/ada/engine.git",
    "ssh://git@git.example.org:2222/ada/engine.git",
    "git@github.com:ada/engine.git",
    "github.com:ada/engine",
]


@pytest.mark.parametrize("url", REPOSITORIES)
async def test_repositories_however_they_are_spelt(api: RunningApi, account: str, url: str) -> None:
    async with api.socket_of(account) as socket:
        assert (await socket.ask("init", repoUrl=url))["type"] == "init-response"


async def test_many_requests_at_once_get_one_answer_each(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        kinds = ["ping", "usage", "init", "nothing"]
        sent = [await socket.send(kinds[number % 4]) for number in range(160)]
        answers = [await socket.next() for _ in sent]
        assert sorted(answer["requestId"] for answer in answers) == sorted(sent)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.connection.recv(), 0.2)


async def test_two_hundred_a_second_are_taken_and_more_are_not(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        for _ in range(200):
            await socket.send("ping")
        assert {(await socket.next())["type"] for _ in range(200)} == {"pong"}
    async with api.socket_of(account) as socket:
        sent = [await socket.send("ping") for _ in range(600)]
        answers = [await socket.next() for _ in sent]
        refused = [answer for answer in answers if answer["type"] == "action-error"]
        assert sorted(answer["requestId"] for answer in answers) == sorted(sent)
        assert 100 < len(refused) <= 400
        assert {(answer["error"], answer["retryable"]) for answer in refused} == {("rate-limited", True)}
        await asyncio.sleep(0.1)
        assert (await socket.ask("ping"))["type"] == "pong"


async def _closed_with(api: RunningApi, **options: Any) -> tuple[int, str]:
    async with api.socket_with(**options) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await socket.next()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_whoever_has_no_token_is_sent_away(api: RunningApi) -> None:
    for token in (None, "gf_unknown", ""):
        assert await _closed_with(api, token=token) == (1008, "the token is missing, unknown or expired")
    for query in ("?ticket=gft_unknown", "?ticket=", "?token=gf_unknown"):
        assert (await _closed_with(api, query=query))[0] == 1008


async def test_the_admin_token_opens_no_socket(api: RunningApi) -> None:
    code, reason = await _closed_with(api, token=api.parts.settings.admin_token)
    assert (code, "belongs to no account" in reason) == (1008, True)


async def test_a_ticket_opens_one_socket(api: RunningApi, account: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with api.client(await api.token_of(account)) as holder:
        answer = await holder.post("/v1/tickets")
    assert answer.json()["expiresInSeconds"] == 30
    query = f"?ticket={answer.json()['ticket']}"
    async with api.socket_with(query=query) as socket:
        assert (await socket.ask("usage"))["accountId"] == account
    assert (await _closed_with(api, query=query))[0] == 1008
    assert answer.json()["ticket"] not in caplog.text


async def test_pages_of_strangers_may_not_use_a_token(api: RunningApi, account: str) -> None:
    token = await api.token_of(account)
    port = api.url.rpartition(":")[2]
    for origin in (
        "https://evil.test",
        "null",
        "https://app.test.evil.test",
        "http://app.test",
        f"https://evil:{port}",
    ):
        code, reason = await _closed_with(api, token=token, origin=origin)
        assert (code, reason) == (1008, "the origin is not allowed")
    for origin in ("https://app.test", "https://APP.test", api.url, f"http://localhost:{port}"):
        async with api.socket_with(token=token, origin=origin) as socket:
            assert (await socket.ask("ping"))["type"] == "pong"


async def test_a_ticket_is_not_spent_on_the_wrong_origin(api: RunningApi, account: str) -> None:
    async with api.client(await api.token_of(account)) as holder:
        query = f"?ticket={(await holder.post('/v1/tickets')).json()['ticket']}"
    assert (await _closed_with(api, query=query, origin="https://evil.test"))[0] == 1008
    async with api.socket_with(query=query) as socket:
        assert (await socket.ask("ping"))["type"] == "pong"


async def test_a_message_that_is_too_large_closes_the_socket(api: RunningApi, account: str) -> None:
    async with api.socket_of(account) as socket:
        padding = 65_536 - len(json.dumps({"type": "nothing", "requestId": "r1", "x": ""}))
        assert (await socket.ask("nothing", x="y" * padding))["error"] == "invalid-message"
        await socket.send("nothing", x="y" * 65_536)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.next()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


async def test_a_socket_is_one_account_only(api: RunningApi, account: str) -> None:
    other = await api.open_account()
    async with api.socket_of(account) as socket:
        assert (await socket.ask("usage", accountId=other))["error"] == "invalid-message"
        assert (await socket.ask("usage"))["accountId"] == account


async def test_operation_ids_on_the_socket_are_as_over_http(api: RunningApi, account: str) -> None:
    operation_id = new_id()
    await api.grant(account, operationId=operation_id)
    async with api.socket_of(account) as socket:
        assert (await socket.ask("grant-status", operationId=operation_id))["operationId"] == operation_id

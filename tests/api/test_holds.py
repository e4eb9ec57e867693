"""Holds over HTTP and over the WebSocket."""

from datetime import datetime, timedelta

from tests.api.running import RunningApi, new_id, rows


async def test_a_hold_is_placed_extended_and_settled(api: RunningApi, account: str) -> None:
    grant = await api.grant(account, 20, type="purchase")
    operation_id = new_id()
    body = {"operationId": operation_id, "credits": 15, "ttlSeconds": 600}
    answer = await api.admin.post(f"/v1/accounts/{account}/holds", json=body)
    assert answer.status_code == 201
    held = answer.json()
    allocation = {"grantId": grant["grantId"], "operationId": grant["operationId"], "type": "purchase", "credits": 15}
    assert held == {
        "operationId": operation_id,
        "credits": 15,
        "state": "open",
        "expiresAt": held["expiresAt"],
        "createdAt": held["createdAt"],
        "allocations": [allocation],
        "held": 15,
        "debt": 0,
        "remainingBalance": 5,
        "netBalance": 20,
        "replayed": False,
    }
    lives = datetime.fromisoformat(held["expiresAt"]) - datetime.fromisoformat(held["createdAt"])
    assert lives == timedelta(seconds=600)
    again = await api.admin.post(f"/v1/accounts/{account}/holds", json=body)
    assert (again.status_code, again.json()) == (200, held | {"replayed": True})
    conflict = await api.admin.post(f"/v1/accounts/{account}/holds", json=body | {"credits": 14})
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency-conflict")

    extended = await api.admin.post(f"/v1/holds/{operation_id}/extend", json={"ttlSeconds": 3600})
    assert (extended.status_code, extended.json()["credits"]) == (200, 15)
    assert extended.json()["expiresAt"] > held["expiresAt"]

    settled = await api.admin.post(f"/v1/holds/{operation_id}/settle", json={"credits": 9})
    assert settled.status_code == 200
    assert settled.json() == {
        "operationId": operation_id,
        "consumed": 9,
        "fromPurchased": 9,
        "allocations": [allocation | {"credits": 9}],
        "debtIncurred": 0,
        "givenBack": 6,
        "debt": 0,
        "remainingBalance": 11,
        "netBalance": 11,
        "replayed": False,
    }
    repeated = await api.admin.post(f"/v1/holds/{operation_id}/settle", json={"credits": 9})
    assert repeated.json() == settled.json() | {"replayed": True}
    other = await api.admin.post(f"/v1/holds/{operation_id}/settle", json={"credits": 8})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    closed = await api.admin.post(f"/v1/holds/{operation_id}/release")
    assert (closed.status_code, closed.json()["code"], closed.json()["state"]) == (409, "hold-closed", "settled")
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert (balance["remainingBalance"], balance["held"], balance["usage"]) == (11, 0, 9)


async def test_what_is_held_is_in_the_balance_and_comes_back_with_a_release(api: RunningApi, account: str) -> None:
    await api.grant(account, 20)
    operation_id = new_id()
    await api.admin.post(
        f"/v1/accounts/{account}/holds", json={"operationId": operation_id, "credits": 15, "ttlSeconds": 60}
    )
    balance = (await api.admin.get(f"/v1/accounts/{account}/balance")).json()
    assert (balance["remainingBalance"], balance["held"], balance["netBalance"]) == (5, 15, 20)
    assert balance["balanceBreakdown"]["admin"] == 20
    released = await api.admin.post(f"/v1/holds/{operation_id}/release")
    assert released.json() == {
        "operationId": operation_id,
        "givenBack": 15,
        "debt": 0,
        "remainingBalance": 20,
        "netBalance": 20,
        "replayed": False,
    }
    assert (await api.admin.post(f"/v1/holds/{operation_id}/release", json={})).json()["replayed"] is True
    closed = await api.admin.post(f"/v1/holds/{operation_id}/settle", json={"credits": 1})
    assert (closed.status_code, closed.json()["code"]) == (409, "hold-closed")


async def test_a_hold_obeys_only_the_kind_of_token_that_made_it(api: RunningApi, account: str) -> None:
    await api.grant(account, 20)
    other = await api.open_account()
    own, admins = new_id(), new_id()
    path = f"/v1/accounts/{account}/holds"
    async with api.client(await api.token_of(account)) as holder, api.client(await api.token_of(other)) as stranger:
        placed = await holder.post(path, json={"operationId": own, "credits": 5, "ttlSeconds": 60})
        assert placed.status_code == 201
        await api.admin.post(path, json={"operationId": admins, "credits": 5, "ttlSeconds": 60})
        for verb, body in (("settle", {"credits": 5}), ("extend", {"ttlSeconds": 60}), ("release", {})):
            for who, operation_id, status, code in (
                (holder, admins, 403, "forbidden"),
                (api.admin, own, 403, "forbidden"),
                (stranger, own, 404, "not-found"),
                (stranger, admins, 404, "not-found"),
            ):
                refused = await who.post(f"/v1/holds/{operation_id}/{verb}", json=body)
                assert (refused.status_code, refused.json()["code"]) == (status, code)
        named = await api.admin.post(f"/v1/holds/{own}/release", json={"accountId": account})
        assert named.status_code == 403
        elsewhere = await stranger.post(f"/v1/holds/{own}/release", json={"accountId": account})
        assert elsewhere.status_code == 403
        assert (await holder.post(f"/v1/holds/{own}/release")).status_code == 200
    assert (await api.admin.post(f"/v1/holds/{admins}/release")).status_code == 200


async def test_an_admin_says_whose_hold_where_several_have_its_id(api: RunningApi, account: str) -> None:
    other = await api.open_account()
    operation_id = new_id()
    for each in (account, other):
        await api.grant(each, 20)
        body = {"operationId": operation_id, "credits": 5, "ttlSeconds": 60}
        assert (await api.admin.post(f"/v1/accounts/{each}/holds", json=body)).status_code == 201
    unclear = await api.admin.post(f"/v1/holds/{operation_id}/settle", json={"credits": 1})
    assert (unclear.status_code, unclear.json()["code"]) == (422, "invalid-request")
    assert unclear.json()["errors"][0]["field"] == "accountId"
    settled = await api.admin.post(f"/v1/holds/{operation_id}/settle", json={"credits": 1, "accountId": other})
    assert settled.json()["remainingBalance"] == 19
    assert (await api.admin.get(f"/v1/accounts/{account}/balance")).json()["held"] == 5


async def test_what_is_no_hold_is_refused(api: RunningApi, account: str) -> None:
    await api.grant(account, 5)
    path = f"/v1/accounts/{account}/holds"
    right = {"operationId": new_id(), "credits": 1, "ttlSeconds": 60}
    for wrong in (
        {"credits": 0},
        {"credits": True},
        {"ttlSeconds": 0},
        {"ttlSeconds": 86_401},
        {"ttlSeconds": 1.5},
        {"operationId": "free-me"},
        {"more": 1},
    ):
        answer = await api.admin.post(path, json=right | wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request"), wrong
    before = await rows(api.database)
    too_much = await api.admin.post(path, json=right | {"credits": 6})
    assert (too_much.status_code, too_much.json()["code"], too_much.json()["available"]) == (
        402,
        "insufficient-credits",
        5,
    )
    assert await rows(api.database) == before
    for unknown in ("nothing", "free-me", "%20", "%00"):
        answer = await api.admin.post(f"/v1/holds/{unknown}/release")
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), unknown
    negative = await api.admin.post("/v1/holds/nothing/settle", json={"credits": -1})
    assert negative.status_code == 422


async def test_the_socket_holds_and_settles_and_tells_the_balance(api: RunningApi, account: str) -> None:
    await api.grant(account, 20)
    first, second = new_id(), new_id()
    async with api.socket_of(account) as socket:
        asked = {"operationId": first, "credits": 15, "ttlSeconds": 60, "repoUrl": "https://github.com/ada/engine"}
        held = await socket.ask("hold", **asked)
        assert (held["type"], held["paidBy"], held["credits"], held["state"]) == ("hold-response", account, 15, "open")
        push = await socket.next_push()
        assert (push["remainingBalance"], push["held"]) == (5, 15)
        assert (await socket.ask("hold", **asked))["replayed"] is True
        extended = await socket.ask("extend", operationId=first, ttlSeconds=600)
        assert (extended["type"], extended["expiresAt"] > held["expiresAt"]) == ("extend-response", True)
        settled = await socket.ask("settle", operationId=first, credits=4)
        assert (settled["type"], settled["paidBy"], settled["consumed"]) == ("settle-response", account, 4)
        assert (settled["givenBack"], settled["remainingBalance"]) == (11, 16)
        await socket.ask("hold", operationId=second, credits=5, ttlSeconds=60)
        released = await socket.ask("release", operationId=second)
        assert (released["type"], released["paidBy"], released["givenBack"]) == ("release-response", account, 5)


async def test_the_socket_refuses_by_an_action_error(api: RunningApi, account: str) -> None:
    await api.grant(account, 3)
    admins = new_id()
    body = {"operationId": admins, "credits": 1, "ttlSeconds": 60}
    await api.admin.post(f"/v1/accounts/{account}/holds", json=body)
    async with api.socket_of(account) as socket:
        refused = await socket.ask("hold", operationId=new_id(), credits=4, ttlSeconds=60)
        assert (refused["error"], refused["remainingBalance"]) == ("insufficient-credits", 2)
        too_long = await socket.ask("hold", operationId=new_id(), credits=1, ttlSeconds=86_401)
        assert too_long["error"] == "invalid-message"
        assert (await socket.ask("settle", operationId=admins, credits=1))["error"] == "forbidden"
        assert (await socket.ask("release", operationId=new_id()))["error"] == "not-found"
        own = new_id()
        await socket.ask("hold", operationId=own, credits=1, ttlSeconds=60)
        await socket.ask("release", operationId=own)
        assert (await socket.ask("extend", operationId=own, ttlSeconds=60))["error"] == "hold-closed"

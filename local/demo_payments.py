"""The demo's steps about money: auto top-up, a card that fails, a hosted page, a refund, a dispute."""

from uuid import uuid4

import httpx

from client.answers import ActionFailed, ToppedUp
from client.payments import AutoTopup, Payment
from client.socket import GrantflowSocket
from local.demo_scene import Scene, eventually, told

THRESHOLD, TARGET, MONTHLY_LIMIT_CENTS = 500, 2000, 10_000
GOOD_CARD, FAILING_CARD, ASKING_CARD = "pm_card_visa", "pm_card_chargeCustomerFail", "pm_card_authenticationRequired"


async def pay(scene: Scene, account_id: str, organization_id: str) -> None:
    """Walk the steps. The account comes with 1,150 credits and has 2,000 in the end, the organization 3,000."""
    token = await scene.grantflow.create_token(account_id)
    async with GrantflowSocket(scene.stack["apiUrl"], token) as socket:
        await _switch_on(scene, account_id)
        await _top_up(scene, account_id, socket)
        await _in_line(scene, account_id, socket)
        await _fail(scene, account_id, socket)
        await _authenticate(scene, account_id, socket)
    payment = await _buy(scene, organization_id)
    await _refund(scene, organization_id, payment)
    await _dispute(scene, organization_id, payment)


async def _switch_on(scene: Scene, account_id: str) -> None:
    scene.report.title("A card is attached, and auto top-up switched on")
    method = await scene.grantflow.set_payment_method(account_id, GOOD_CARD)
    chosen = await scene.grantflow.set_auto_topup(
        account_id, enabled=True, threshold=THRESHOLD, target=TARGET, monthly_limit_cents=MONTHLY_LIMIT_CENTS
    )
    scene.report.says("stripe", f"{method.brand} …{method.last4} is the default")
    scene.report.says("api", chosen.sentence)
    scene.report.check("it is on", held=chosen.enabled and chosen.threshold == THRESHOLD, seen=chosen)
    charged = await scene.payments_at_stripe(account_id)
    scene.report.check("nothing is charged yet", held=not charged and chosen.warning is None, seen=charged)


async def _top_up(scene: Scene, account_id: str, socket: GrantflowSocket) -> None:
    scene.report.title("The balance falls below the threshold, and is topped up")
    spent = await socket.consume(f"demo-{uuid4()}", 800)
    scene.report.says("socket", f"{spent.consumed} credits spent, {spent.remaining_balance} left")
    news = await told(socket, ToppedUp)
    scene.report.says(
        "socket", f"usage-response: autoTopupAdded {news.auto_topup_added}, {news.remaining_balance} left"
    )
    scene.report.check("1,650 credits were added", held=news.auto_topup_added == 1650, seen=news.auto_topup_added)
    scene.report.check("the balance is at the target", held=news.remaining_balance == TARGET, seen=news)

    payment = await _paid(scene, (await scene.grantflow.purchases(account_id)).data[0].operation_id)
    charged = await scene.payments_at_stripe(account_id)
    scene.report.says("stripe", [f"{each['id']}: {each['amount_received']} cents {each['status']}" for each in charged])
    one = len(charged) == 1 and charged[0]["amount_received"] == payment.amount_cents == 1650
    scene.report.check("exactly one payment at Stripe, of 16.50", held=one, seen=charged)
    workflow_id = f"auto-topup/{account_id}"
    query = f'AccountId = "{account_id}" AND WorkflowType = "AutoTopupWorkflow"'
    found = await scene.eventually_found(query, workflow_id)
    scene.report.says("temporal", f"found by AccountId: {sorted(set(found))}")
    grant = await scene.stage(payment.operation_id, "confirmed")
    mirrors = await scene.at_stripe(payment.operation_id)
    scene.report.says("ledger", f"{grant.type} grant of {grant.principal} credits, {grant.stage}")
    right = (grant.type, grant.principal, len(mirrors)) == ("purchase", 1650, 1)
    scene.report.check("one grant, confirmed", held=right, seen=grant)
    settings = await eventually(lambda: scene.grantflow.auto_topup(account_id), _is_confirmed)
    scene.report.says("ledger", f"the payment is {settings.last_result.state if settings.last_result else None}")
    scene.report.check("its price counts to the month", held=settings.monthly_spent_cents == 1650, seen=settings)


async def _in_line(scene: Scene, account_id: str, socket: GrantflowSocket) -> None:
    scene.report.title("A request that can't be paid waits for a top-up, and goes on by itself")
    spent = await socket.consume(f"demo-{uuid4()}", 2500)
    scene.report.says("socket", f"{spent.consumed} credits spent of 2,000, {spent.remaining_balance} left")
    scene.report.check("it is paid, without debt", held=spent.consumed == 2500 and not spent.debt, seen=spent)
    news = await told(socket, ToppedUp, lambda each: each.auto_topup_added == TARGET)
    scene.report.says("socket", f"then autoTopupAdded {news.auto_topup_added}, {news.remaining_balance} to spend")
    paid = [await _paid(scene, each.operation_id) for each in (await scene.grantflow.purchases(account_id)).data]
    bought = [each.credits for each in reversed(paid)]
    scene.report.check("bought: what lacked, then up to the target", held=bought == [1650, 500, 2000], seen=bought)
    cents = sum(each["amount_received"] for each in await scene.payments_at_stripe(account_id))
    scene.report.check("Stripe was paid just that", held=cents == sum(each.amount_cents for each in paid), seen=cents)


async def _fail(scene: Scene, account_id: str, socket: GrantflowSocket) -> None:
    scene.report.title("A failing card switches auto top-up off")
    await scene.grantflow.set_payment_method(account_id, FAILING_CARD)
    spent = await socket.consume(f"demo-{uuid4()}", 1600)
    failed = await told(socket, ActionFailed)
    scene.report.says("socket", f"action-error {failed.error}: {failed.message}")
    scene.report.check("the socket tells why", held=failed.error == "auto-topup-declined", seen=failed)
    settings = await scene.grantflow.auto_topup(account_id)
    scene.report.says("api", f"off since {settings.disabled_at}: {settings.disabled_reason}")
    off = not settings.enabled and settings.disabled_reason == "auto-topup-declined"
    scene.report.check("auto top-up is off, with its reason", held=off, seen=settings)
    charged = await scene.payments_at_stripe(account_id)
    scene.report.says("stripe", [each["status"] for each in charged])
    declined = [each for each in charged if each["status"] != "succeeded"]
    scene.report.check("one try, nothing paid", held=len(declined) == 1 and not declined[0]["amount_received"])
    balance = await scene.grantflow.balance(account_id)
    same = balance.remaining_balance == spent.remaining_balance == 400
    scene.report.check("no credits came of it", held=same, seen=balance)


async def _authenticate(scene: Scene, account_id: str, socket: GrantflowSocket) -> None:
    scene.report.title("A bank wants to see the owner: a link leads there, and the credits come")
    tried = len(await scene.payments_at_stripe(account_id))
    await scene.grantflow.set_payment_method(account_id, ASKING_CARD)
    chosen = await scene.grantflow.set_auto_topup(account_id, enabled=True, threshold=THRESHOLD, target=TARGET)
    scene.report.says("api", chosen.warning)
    asked = await told(socket, ActionFailed)
    scene.report.says("socket", f"action-error {asked.error}: {asked.action_url}")
    ours = asked.action_url is not None and asked.action_url.startswith(scene.stack["apiUrl"])
    wanted = asked.error == "auto-topup-authentication-required"
    scene.report.check("the socket tells why, with a link", held=wanted and ours, seen=asked)
    async with httpx.AsyncClient(timeout=30, follow_redirects=True) as browser:
        page = await browser.get(asked.action_url or "")
        done = await browser.post(page.url, data={"outcome": "complete"})
    scene.report.says("stripe", f"its page at {page.url} leads back to {done.url.path}")
    news = await told(socket, ToppedUp, lambda each: each.auto_topup_added == 1600)
    settings = await scene.grantflow.auto_topup(account_id)
    scene.report.says("socket", f"autoTopupAdded {news.auto_topup_added}, {news.remaining_balance} to spend")
    there = news.remaining_balance == TARGET
    scene.report.check("the payment's 1,600 credits are there", held=there, seen=news)
    more = len(await scene.payments_at_stripe(account_id)) - tried
    scene.report.check(
        "it is one payment, and stays off", held=more == 1 and not settings.enabled, seen=(more, settings)
    )


async def _buy(scene: Scene, organization_id: str) -> Payment:
    scene.report.title("The organization has no card: it buys credits on Stripe's page")
    operation_id = f"demo-{uuid4()}"
    asked = await scene.grantflow.buy(organization_id, operation_id=operation_id, credits=5000)
    scene.report.says("api", f"{asked.status}: {asked.checkout_url}")
    offered = asked.status == "requires-action" and asked.checkout_url is not None
    scene.report.check("a page is offered, and no credits come yet", held=offered and asked.grant is None, seen=asked)
    async with httpx.AsyncClient(timeout=30, follow_redirects=True) as browser:
        shown = await browser.get(asked.checkout_url or "")
        left = await browser.post(asked.checkout_url or "", data={"payment_method": GOOD_CARD, "action": "pay"})
    scene.report.says("stripe", f"its page answers {shown.status_code}; paid, it leads to {left.url}")
    back = left.status_code == httpx.codes.OK and str(left.url).startswith(scene.stack["apiUrl"])
    scene.report.check("it leads back to us", held=back, seen=(left.status_code, left.url))
    payment = await _paid(scene, operation_id)
    await scene.stage(operation_id, "confirmed")
    balance = await scene.grantflow.balance(organization_id)
    scene.report.says("ledger", f"{balance.balance_breakdown['purchase']} purchased credits")
    scene.report.check("paid, and 5,000 credits are there", held=balance.remaining_balance == 5000, seen=balance)
    again = await scene.grantflow.buy(organization_id, operation_id=operation_id, credits=5000)
    once = again.replayed and len(await scene.payments_at_stripe(organization_id)) == 1
    scene.report.check("the same order again buys nothing", held=once and again.status == "paid", seen=again)
    return payment


async def _refund(scene: Scene, organization_id: str, payment: Payment) -> None:
    scene.report.title("A refund in Stripe's dashboard takes credits back")
    intent = (await scene.payments_at_stripe(organization_id))[0]["id"]
    token = await scene.grantflow.create_token(organization_id)
    async with GrantflowSocket(scene.stack["apiUrl"], token) as socket:
        await socket.usage()
        await scene.trigger("charge.refunded", intent, amount=2000)
        failed = await told(socket, ActionFailed)
    scene.report.says("stripe", f"20.00 of {payment.amount_cents / 100:.2f} of {intent} refunded")
    scene.report.says("socket", f"action-error {failed.error}: {failed.message}")
    scene.report.check("the owner is told", held=failed.error == "payment-reversed", seen=failed)
    balance = await scene.grantflow.balance(organization_id)
    left = balance.remaining_balance == failed.remaining_balance == 3000
    scene.report.check("2,000 credits are gone", held=left and not balance.debt, seen=balance)
    entries = (await scene.grantflow.entries(organization_id, newest_first=True, kinds=["reversed"])).data
    scene.report.says("ledger", [f"{each.kind} {each.credits}" for each in entries])
    scene.report.check("booked once", held=[each.credits for each in entries] == [-2000], seen=entries)


async def _dispute(scene: Scene, organization_id: str, payment: Payment) -> None:
    scene.report.title("A dispute freezes the rest; when it is won, it is there again")
    intent = (await scene.payments_at_stripe(organization_id))[0]["id"]
    await scene.trigger("charge.dispute.created", intent)
    frozen = await eventually(lambda: scene.grantflow.balance(organization_id), lambda seen: seen.held == 3000)
    scene.report.says("ledger", f"{frozen.held} credits frozen, {frozen.remaining_balance} to spend")
    scene.report.check("3,000 credits are frozen", held=frozen.remaining_balance == 0, seen=frozen)
    found = await scene.eventually_found('WorkflowType = "PaymentReversalWorkflow"', f"reversal/{intent}")
    scene.report.says("temporal", f"{sorted(set(found))} asked Stripe how the money stands")
    await scene.trigger("charge.dispute.closed", intent, status="won")
    thawed = await eventually(lambda: scene.grantflow.balance(organization_id), lambda seen: seen.held == 0)
    scene.report.says("ledger", f"{thawed.remaining_balance} credits to spend")
    scene.report.check("all of them are back", held=thawed.remaining_balance == 3000 and not thawed.debt, seen=thawed)


def _is_confirmed(settings: AutoTopup) -> bool:
    """Whether Stripe's webhook has confirmed the latest top-up."""
    return settings.last_result is not None and settings.last_result.state == "paid"


async def _paid(scene: Scene, operation_id: str) -> Payment:
    """The payment, once its credits are there."""
    return await eventually(lambda: scene.grantflow.purchase(operation_id), lambda seen: seen.status == "paid")

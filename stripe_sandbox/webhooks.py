"""The delivery of events: signed, at least once, retried with growing patience.

After https://docs.stripe.com/webhooks: the signature is HMAC-SHA256 over `{t}.{body}`, made anew at each attempt;
anything but a 2xx is tried again for up to three days. The first retries are quicker than Stripe's, for tests' sake.
"""

import asyncio
import hashlib
import hmac
import logging
import ssl
import time
from contextlib import suppress

import httpx

from stripe_sandbox.behaviour import BehaviourControl
from stripe_sandbox.database import encode
from stripe_sandbox.outbox import Delivery, Outbox

RETRY_AFTER_SECONDS = (1, 2, 5, 15, 60, 300, 1_800, 3_600, 7_200, 14_400, 28_800)
RETRIED_FOR_SECONDS = 3 * 24 * 60 * 60
ANSWER_WITHIN_SECONDS = 10.0
AT_ONCE_MAX = 32
# A safety net only: whoever plans a delivery or changes the behaviour wakes the loop.
IDLE_SECONDS_MAX = 60.0

log = logging.getLogger("stripe_sandbox.webhooks")


def signature_header(payload: bytes, secret: str, at: int) -> str:
    """Return the `Stripe-Signature` of a payload sent at an instant (Unix seconds, wall time)."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + payload, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"


def retry_delay_seconds(attempts: int) -> int:
    """Return how long to wait after the given number of failed attempts."""
    return RETRY_AFTER_SECONDS[min(attempts, len(RETRY_AFTER_SECONDS)) - 1]


class Deliverer:
    """Posts what the outbox holds, from `start` to `stop`.

    Args:
        outbox: where deliveries are planned and noted.
        behaviour: during an outage nothing is sent.
        url: the endpoint.
        secret: the endpoint's signing secret.

    Raises:
        ValueError: the address is no http or https one.
    """

    def __init__(self, outbox: Outbox, behaviour: BehaviourControl, url: str, secret: str) -> None:
        if not url.startswith(("http://", "https://")) or not httpx.URL(url).host:
            raise ValueError(f"the webhook address {url!r} does not begin with http:// or https:// and a host")
        self._outbox = outbox
        self._behaviour = behaviour
        self._url = url
        self._secret = secret
        self._wake = asyncio.Event()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._loop: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look at the outbox now: something was planned, or the behaviour has changed."""
        self._wake.set()

    async def start(self) -> None:
        """Begin to deliver, first of all what an earlier process left pending."""
        self._loop = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop at once; an attempt under way is made again at the next start."""
        tasks = [task for task in (self._loop, *self._under_way.values()) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_SECONDS, trust_env=False, verify=self._tls()) as http:
            while True:
                self._wake.clear()
                if not self._behaviour.current.outage:
                    self._begin_due(http)
                # Not wait_for: in Python 3.11 it may swallow the cancellation that stops us.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._idle_seconds()):
                        await self._wake.wait()

    def _tls(self) -> ssl.SSLContext:
        """Return what https needs; reading the machine's certificates would cost a plain http endpoint 16 ms."""
        https = self._url.startswith("https://")
        return ssl.create_default_context() if https else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def _begin_due(self, http: httpx.AsyncClient) -> None:
        # Those under way are still pending in the table, so the first AT_ONCE_MAX rows hold enough that are not.
        for delivery in self._outbox.due(time.time(), most=AT_ONCE_MAX):
            if len(self._under_way) == AT_ONCE_MAX:
                return
            if delivery.seq not in self._under_way:
                self._under_way[delivery.seq] = asyncio.create_task(self._deliver(http, delivery))

    def _idle_seconds(self) -> float:
        now = time.time()
        next_due_at = self._outbox.next_due_at(now)
        return IDLE_SECONDS_MAX if next_due_at is None else min(next_due_at - now, IDLE_SECONDS_MAX)

    async def _deliver(self, http: httpx.AsyncClient, delivery: Delivery) -> None:
        try:
            accepted, answer = await self._post(http, delivery)
            self._note(delivery, answer, accepted=accepted)
        except Exception:
            # A defect of ours must not be tried again in a tight loop, nor end the other deliveries.
            log.exception("event %s could not be posted", delivery.event_id)
            self._note(delivery, "a defect of the stand-in: see its log", accepted=False)
        finally:
            del self._under_way[delivery.seq]
            self.wake()

    async def _post(self, http: httpx.AsyncClient, delivery: Delivery) -> tuple[bool, str]:
        payload = encode(self._outbox.find(delivery.event_id)).encode()
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Stripe/1.0 (Grantflow's stand-in)",
            "Stripe-Signature": signature_header(payload, self._secret, int(time.time())),
        }
        try:
            answer = await http.post(self._url, content=payload, headers=headers)
        except httpx.HTTPError as broken:
            return False, f"{type(broken).__name__}: {broken}"[:200]
        return answer.is_success, str(answer.status_code)

    def _note(self, delivery: Delivery, answer: str, *, accepted: bool) -> None:
        if accepted:
            self._outbox.settle(delivery, answer, state="delivered")
            return
        due_at = time.time() + retry_delay_seconds(delivery.attempts + 1)
        given_up = due_at > delivery.planned_at + RETRIED_FOR_SECONDS
        log.info("event %s was not accepted (%s)", delivery.event_id, answer)
        if given_up:
            self._outbox.settle(delivery, answer, state="failed")
        else:
            self._outbox.settle(delivery, answer, state="pending", due_at=due_at)

"""The addresses of the hosted pages, and what all of them have in common."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from stripe_sandbox.endpoint import Call
from stripe_sandbox.errors import ApiError
from stripe_sandbox.forms import read_form
from stripe_sandbox.hosted import authentication, checkout, html, receipts
from stripe_sandbox.sandbox import Sandbox
from stripe_sandbox.transport import BodyTooLarge, read_body

BODY_MAX_BYTES = 16 * 1024

Show = Callable[[Call], Response]
Take = Callable[[Call, dict[str, str]], Response]


class HostedPages:
    """The handlers of the pages; a browser needs no key for them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def routes(self) -> list[Route]:
        """Return the routes of all pages."""
        return [
            *self._page("/_sandbox/authenticate/{intent}", authentication.show, authentication.decide),
            *self._page("/_sandbox/checkout/{session}", checkout.show, checkout.submit),
            *self._page("/_sandbox/receipts/{charge}", receipts.show),
        ]

    def _page(self, address: str, show: Show, take: Take | None = None) -> list[Route]:
        routes = [Route(address, self._answered(lambda call, _: show(call)), methods=["GET"])]
        if take is not None:
            routes.append(Route(address, self._answered(take), methods=["POST"]))
        return routes

    def _answered(self, work: Take) -> Callable[[Request], Awaitable[Response]]:
        """Turn work on a call into a handler; a refusal becomes a page, and nothing of its work stays."""

        async def answer(request: Request) -> Response:
            sandbox = self._sandbox
            if sandbox.behaviour.current.outage:
                return html.page("Not available", html.paragraph("Try again later."), status=503)
            base_url = sandbox.config.base_url(request.url.scheme, request.headers.get("host"))
            try:
                form = dict(read_form(await read_body(request.receive, BODY_MAX_BYTES)))
                with sandbox.database.transaction():
                    return work(Call(sandbox, path=dict(request.path_params), base_url=base_url), form)
            except ApiError as refusal:
                message = str(refusal.body["error"]["message"])
                return html.page("That did not work", html.paragraph(message, look="error"), status=refusal.status)
            except BodyTooLarge:
                return html.page("That did not work", html.paragraph("The form is too large."), status=413)
            finally:
                sandbox.deliverer.wake()

        return answer

"""Around every HTTP request: its id, its answer when something goes wrong, and what the metrics count."""

import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.calls import REQUEST_ID_HEADER, new_call
from api.metrics import observe_request
from api.problems import Problem, problem_of

_log = logging.getLogger(__name__)


class Context:
    """The outermost layer: whatever goes wrong inside leaves here as a problem, with the request id."""

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app = app
        self.public_url = public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        call = new_call(Headers(scope=scope).get(REQUEST_ID_HEADER))
        scope.setdefault("state", {})["call"] = call
        began = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = call.request_id
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                _log.exception("Request %s (%s %s) failed.", call.request_id, scope["method"], scope["path"])
                problem = Problem("internal", "Something went wrong on our side; the log has the request id.")
            if status:
                raise  # the answer has begun: nothing better can be said
            response = problem.response(request_id=call.request_id, public_url=self.public_url)
            await response(scope, receive, send_with_id)
        finally:
            observe_request(scope, status, time.perf_counter() - began)

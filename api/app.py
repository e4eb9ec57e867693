"""The application: its routes, its layers, and what lives as long as it does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from api.auth import Guard
from api.body_limit import BodyLimit
from api.calls import call_of
from api.context import Context
from api.parts import Parts
from api.problems import PROBLEM_RESPONSES, Problem, problem_of
from api.routes import (
    accounts,
    auto_topups,
    clock,
    consumptions,
    entries,
    grants,
    health,
    holds,
    notices,
    page,
    payment_pages,
    purchases,
    reports,
    webhooks,
)
from api.socket import door

DESCRIPTION = "Prepaid credits: accounts, grants and balances. Errors are RFC 9457 problems; /errors lists them."

_bearer = Depends(HTTPBearer(auto_error=False, description="The admin token, or a token of an account."))


def create_app(parts: Parts) -> FastAPI:
    """The API on these parts. Its lifespan listens for changes and, at the end, finishes what is under way."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with parts.live.running(), parts.consumption.running():
            yield
            await parts.background.finish()

    app = FastAPI(
        title="Grantflow",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=PROBLEM_RESPONSES,
        middleware=[
            Middleware(Context, public_url=parts.settings.public_url),
            Middleware(BodyLimit),
            Middleware(Guard),
        ],
    )
    app.state.parts = parts
    for framework_error in (HTTPException, RequestValidationError):
        app.add_exception_handler(framework_error, _answer_framework_error)
    for guarded in (accounts, grants, consumptions, holds, auto_topups, purchases, entries, notices, reports):
        app.include_router(guarded.router, dependencies=[_bearer])
    if parts.settings.embedded:
        app.include_router(clock.router, dependencies=[_bearer])
    for routes in (webhooks.router, health.router, page.router, payment_pages.router, door.router):
        app.include_router(routes)
    return app


async def _answer_framework_error(request: Request, error: Exception) -> Response:
    problem = problem_of(error) or Problem("internal", "Something went wrong on our side.")
    parts: Parts = request.app.state.parts
    return problem.response(request_id=call_of(request).request_id, public_url=parts.settings.public_url)

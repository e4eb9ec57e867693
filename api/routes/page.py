"""The page at / and the list of errors, to which every problem's ``type`` leads."""

from html import escape
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.catalogue import CATALOGUE

router = APIRouter(include_in_schema=False)

_PAGE = (Path(__file__).parent.parent / "page.html").read_text(encoding="utf-8")
# No page of ours loads anything, or runs in another's frame.
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


@router.get("/")
async def page() -> HTMLResponse:
    """What this is, and where to go on."""
    return HTMLResponse(_PAGE, headers=PAGE_HEADERS)


@router.get("/errors")
async def errors() -> HTMLResponse:
    """Every error with its status and what to do about it."""
    rows = "".join(
        f'<h2 id="{code}">{code} <small>{kind.status}</small></h2><p>{escape(kind.title)}. {escape(kind.mend)}</p>'
        for code, kind in CATALOGUE.items()
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Grantflow: errors</title>'
        f'<body style="font:16px/1.5 system-ui;max-width:44rem;margin:2rem auto;padding:0 1rem"><h1>Errors</h1>{rows}',
        headers=PAGE_HEADERS,
    )

"""How the hosted pages are written: escaped, without scripts, with nothing from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from html import escape
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.responses import HTMLResponse, RedirectResponse

STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; color: #1a1f36; background: #f6f8fa; margin: 0; padding: 2rem 1rem; }
main { max-width: 28rem; margin: 0 auto; padding: 1.5rem 2rem 2rem; background: #fff; }
main { border: 1px solid #d8dee4; border-radius: .5rem; }
h1 { font-size: 1.25rem; margin: 0 0 1rem; }
fieldset { border: 1px solid #d8dee4; border-radius: .375rem; margin: 1rem 0; padding: .5rem 1rem; }
label { display: block; padding: .25rem 0; }
button { font: inherit; padding: .5rem 1rem; margin: .5rem .5rem 0 0; cursor: pointer; }
button { border: 1px solid #4b45c6; border-radius: .375rem; background: #fff; color: #4b45c6; }
button.main { background: #4b45c6; color: #fff; }
.error { color: #a8123e; font-weight: 600; }
.note { color: #545969; font-size: .875rem; }
""".strip()
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


def page(title: str, *parts: str, status: int = 200, leads_to: Iterable[str] = ()) -> HTMLResponse:
    """Return a page.

    Args:
        title: plain text.
        parts: HTML, its texts escaped.
        status: the HTTP status.
        leads_to: addresses that the page's form may send the browser on to, also by redirects.
    """
    inside = "\n".join(parts)
    document = (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n{inside}\n"
        f'<p class="note">A test page of the Stripe stand-in. No money moves.</p>\n</main>\n</body>\n</html>\n'
    )
    return HTMLResponse(document, status, headers=_headers(leads_to))


def paragraph(text: str, *, look: str = "") -> str:
    """Return a paragraph of plain text."""
    marked = f' class="{escape(look)}"' if look else ""
    said = ' role="alert"' if look == "error" else ""
    return f"<p{marked}{said}>{escape(text)}</p>"


def link(url: str, text: str) -> str:
    """Return a link in a paragraph of its own."""
    return f'<p><a href="{escape(url)}">{escape(text)}</a></p>'


def form(*parts: str) -> str:
    """Return a form that posts to the page's own address."""
    return '<form method="post">\n' + "\n".join(parts) + "\n</form>"


def button(name: str, value: str, text: str, *, main: bool = False) -> str:
    """Return a button that sends one value."""
    look = ' class="main"' if main else ""
    return f'<button type="submit" name="{escape(name)}" value="{escape(value)}"{look}>{escape(text)}</button>'


def radios(legend: str, name: str, choices: Mapping[str, str], chosen: str) -> str:
    """Return radio buttons, each with its text."""
    rows = [
        f'<label><input type="radio" name="{escape(name)}" value="{escape(value)}"'
        f"{' checked' if value == chosen else ''}> {escape(text)}</label>"
        for value, text in choices.items()
    ]
    return f"<fieldset>\n<legend>{escape(legend)}</legend>\n" + "\n".join(rows) + "\n</fieldset>"


def see_other(url: str, added: Mapping[str, str] | None = None) -> RedirectResponse:
    """Send the browser elsewhere, with more in the address's query."""
    scheme, host, path, query, fragment = urlsplit(url)
    asked = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in (added or {})]
    # An address to which nothing is added stays as it was written.
    queried = urlencode([*asked, *added.items()]) if added else query
    return RedirectResponse(urlunsplit((scheme, host, path, queried, fragment)), 303)


def money(amount: int, currency: str) -> str:
    """Return an amount of minor units as people read it; currencies without cents are not told apart."""
    return f"{amount // 100}.{amount % 100:02} {currency.upper()}"


def _headers(leads_to: Iterable[str]) -> dict[str, str]:
    # Browsers hold the redirects that follow a form to its form-action, too.
    targets = " ".join(["'self'", *sorted({origin for url in leads_to if (origin := _origin(url))})])
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action {targets}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


def _origin(url: str) -> str | None:
    """Return the origin of an address as a policy takes it; one that could say more there is left out."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return origin if re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+", origin) else None

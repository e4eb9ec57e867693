"""From which web pages a browser may open a socket. Browsers send Origin and don't let pages forge it."""

from urllib.parse import urlsplit

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def is_allowed(origin: str | None, *, allow_list: frozenset[str], public_url: str) -> bool:
    """Whether a page of this origin may open a socket. Without Origin it is no browser, and the token decides alone.

    Our own page may, under ``public_url``; where that is this machine, under each of the machine's names for itself.
    """
    if origin is None:
        return True
    asked = origin.lower()
    return asked in {each.lower() for each in allow_list} | _own_origins(public_url)


def _own_origins(public_url: str) -> set[str]:
    parts = urlsplit(public_url.lower())
    if not parts.netloc:
        return set()
    own = {f"{parts.scheme}://{parts.netloc}"}
    host, colon, port = parts.netloc.partition(":")
    if host in _LOOPBACK:
        own |= {f"{parts.scheme}://{name}{colon}{port}" for name in _LOOPBACK}
    return own

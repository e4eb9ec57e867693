"""What the API counts. The ledger's transactions count themselves."""

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import Scope

REQUESTS = Counter("grantflow_http_requests", "HTTP requests answered", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "grantflow_http_request_seconds",
    "Seconds from the request to the end of its answer",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

WEBHOOKS_RECEIVED = Counter("grantflow_webhooks_received", "Webhook events stored, each once", ["type"])
WEBHOOKS_DUPLICATE = Counter("grantflow_webhooks_duplicate", "Webhook events that were there already")
WEBHOOKS_LEFT = Counter("grantflow_webhooks_left", "Webhook events left to the sweep: too many were being delivered")
WEBHOOKS_REJECTED = Counter("grantflow_webhooks_rejected", "Requests that are no webhook to believe", ["reason"])

SOCKETS = Gauge("grantflow_sockets", "Open WebSockets")
SOCKETS_CLOSED = Counter("grantflow_sockets_closed", "WebSockets that we closed, by code", ["code"])
SOCKET_MESSAGES = Counter(
    "grantflow_socket_messages",
    "Messages of clients, by type and what became of them",
    [
        "type",
        "outcome",
    ],
)
NOTICES_TOLD = Counter("grantflow_notices_told", "Notices that went out to clients")
PUSHES = Counter("grantflow_pushes", "Changes of a balance that clients were told unasked")
TOP_UPS_ASKED = Counter(
    "grantflow_top_ups_asked", "Top-ups that requests have waited for, by what came of them", ["outcome"]
)
LISTENING = Gauge("grantflow_listening", "1 while changes of other processes are listened for")

# What clients make up must not become a label: it would grow without end.
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})
_EVENT_TYPES_MAX = 100
_event_types: set[str] = set()


def observe_request(scope: Scope, status: int, seconds: float) -> None:
    """Counts an answered request under its route's template."""
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    REQUESTS.labels(method, route, str(status)).inc()
    REQUEST_SECONDS.labels(method, route).observe(seconds)


def count_webhook(event_type: str) -> None:
    """Counts a stored event under its type, for as many types as Stripe is likely to have."""
    if len(_event_types) < _EVENT_TYPES_MAX:
        _event_types.add(event_type)
    WEBHOOKS_RECEIVED.labels(event_type if event_type in _event_types else "other").inc()

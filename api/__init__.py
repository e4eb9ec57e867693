"""Transport: HTTP routes, the WebSocket, webhooks, wire models and problem responses. No SQL, and no rules."""

"""Logged requests, sent once more to stripe-mock, which knows the parameters that Stripe takes."""

from typing import Any

import httpx

from tests.sandbox.standin import API_KEY

AUTHORIZATION = {"Authorization": f"Bearer {API_KEY}"}


async def replay(http: httpx.AsyncClient, stripe_mock: str, request: dict[str, Any]) -> httpx.Response:
    """Send a logged request to stripe-mock."""
    url, headers = stripe_mock + request["path"], dict(AUTHORIZATION)
    if request["method"] != "POST":
        return await http.request(request["method"], url, params=request["form"], headers=headers)
    # httpx names no type for an empty form, and stripe-mock wants one.
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return await http.post(url, data=request["form"], headers=headers)

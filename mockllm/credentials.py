"""Credentials: that there are some is checked, what they are never is.

Their values reach no message, no log and no journal.
"""

from __future__ import annotations

from mockllm.errors import RequestError
from mockllm.exchange import Request


def admit_openai(request: Request, require_auth: bool) -> None:
    """OpenAI wants ``Authorization: Bearer <anything>``.

    Raises:
        RequestError: 401.
    """
    if require_auth and not _has_bearer(request):
        raise RequestError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization "
            "header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). Any key will do here.",
        )


def admit_anthropic(request: Request, require_auth: bool) -> None:
    """Anthropic wants ``x-api-key`` (older SDKs, curl) or ``Authorization: Bearer`` (anthropic
    2.12.0), and ``anthropic-version`` whatever its value.

    Raises:
        RequestError: 401 or 400.
    """
    if require_auth and not (request.first.get(b"x-api-key") or _has_bearer(request)):
        raise RequestError(
            401,
            "x-api-key header is required (or Authorization: Bearer). Any key will do here.",
        )
    if not request.first.get(b"anthropic-version"):
        raise RequestError(400, "anthropic-version: header is required")


def _has_bearer(request: Request) -> bool:
    """Whether there is an ``Authorization: Bearer <something>`` (RFC 6750, section 2.1)."""
    scheme, _, credential = request.first.get(b"authorization", b"").partition(b" ")
    return scheme.lower() == b"bearer" and bool(credential.strip())

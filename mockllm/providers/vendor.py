"""A vendor: all that its APIs have in common, as a record.

Knows credentials, headers, errors, and which paths are a vendor's. It refuses to know wire formats:
those are the APIs', and each names its vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mockllm.errors import ClientError
from mockllm.exchange import Headers, Reply, Request


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor.

    `name` is its name in messages, `base_path` the path of the base URL that its clients want,
    `headers` and `stream_headers` are those of its whole and streamed answers.
    """

    name: str
    base_path: str

    owns: Callable[[Request], bool]
    """True if a request is to this vendor, by its path and, where two vendors have the same path,
    by its headers."""

    authenticate: Callable[[Request, bool], None]
    """`authenticate(request, require_auth)` checks credentials and required headers. Raises
    RequestError."""

    headers: Headers
    stream_headers: Headers

    render_error: Callable[[ClientError, Mapping[str, Any]], Reply]
    """An error in the vendor's envelope, with further members beside it."""

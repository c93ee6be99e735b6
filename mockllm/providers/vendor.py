"""A vendor: the parts that its APIs have in common, as a record.

Knows credentials, headers, errors and paths. It refuses to know wire formats: each API has its own,
and refers to its vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mockllm.errors import ClientError
from mockllm.exchange import Headers, Reply, Request
from mockllm.providers.failures import Cases, Failure
from mockllm.providers.rate_limits import RateLimits


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor.

    `name` is its name in messages, `base_path` the path in the base URL of its clients.
    `headers` and `stream_headers` are those of its whole and its streamed answers.
    """

    name: str
    base_path: str

    owns: Callable[[Request], bool]
    """True if a request belongs to this vendor, by its path or, where vendors share a path, by its
    headers."""

    authenticate: Callable[[Request, bool], None]
    """`authenticate(request, require_auth)` checks credentials and required headers. Raises
    RequestError."""

    credential_headers: Callable[[Request], tuple[bytes, ...]]
    """The headers in which this vendor's clients send the credential of a request, in lower case;
    the usual one first."""

    headers: Headers
    stream_headers: Headers

    render_error: Callable[[ClientError, Mapping[str, Any]], Reply]
    """`render_error(error, extra)`: an error in the vendor's envelope, with extra members."""

    render_failure: Callable[[Failure, Cases, str], Reply]
    """`render_failure(failure, own, model)`: a failure that a mock answers with, to a request for
    `model`. `own` are the cases in which the API differs from the vendor's others."""

    limits: RateLimits
    """How its service limits requests."""

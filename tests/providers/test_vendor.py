from __future__ import annotations

import re
from datetime import datetime

import pytest

from mockllm.errors import RequestError
from mockllm.exchange import Headers
from mockllm.providers import VENDORS
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.providers.openai.vendor import OPENAI
from mockllm.providers.vendor import Vendor
from mockllm.wire import placeholders
from tests.support.goldens import FRESH


def text(headers: Headers) -> dict[str, str]:
    return {
        name.decode(): placeholders.fill_fresh(value, FRESH).decode("ascii")
        for name, value in headers
    }


@pytest.mark.parametrize("lines", [OPENAI.headers, OPENAI.stream_headers])
def test_openai_headers_are_of_the_kinds_that_clients_parse(lines: Headers) -> None:
    headers = text(lines)

    assert re.fullmatch("req_[0-9a-f]{32}", headers["x-request-id"])
    assert headers["openai-version"] == "2020-10-01"
    assert headers["openai-organization"]
    assert int(headers["openai-processing-ms"]) > 0
    for what in ("requests", "tokens"):
        limit = int(headers[f"x-ratelimit-limit-{what}"])
        assert 0 < int(headers[f"x-ratelimit-remaining-{what}"]) < limit
        assert re.fullmatch(r"\d+(ms|s)", headers[f"x-ratelimit-reset-{what}"])


@pytest.mark.parametrize("lines", [ANTHROPIC.headers, ANTHROPIC.stream_headers])
def test_anthropic_headers_are_of_the_kinds_that_clients_parse(lines: Headers) -> None:
    headers = text(lines)

    assert re.fullmatch("req_011[0-9A-Za-z]{21}", headers["request-id"])
    assert re.fullmatch(r"[0-9a-f-]{36}", headers["anthropic-organization-id"])
    for what in ("requests", "tokens", "input-tokens", "output-tokens"):
        limit = int(headers[f"anthropic-ratelimit-{what}-limit"])
        assert 0 < int(headers[f"anthropic-ratelimit-{what}-remaining"]) <= limit
        assert datetime.fromisoformat(headers[f"anthropic-ratelimit-{what}-reset"]).tzinfo


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: str(vendor.name))
@pytest.mark.parametrize(
    ("status", "code", "is_counted"),
    [
        (400, "unknown_parameter", False),
        (401, None, False),
        (404, None, False),
        (404, "session_ended", False),
        (413, None, False),
        (404, "mock_not_found", True),
        (404, "mock_exhausted", True),
        (500, None, True),
    ],
)
def test_only_requests_that_were_counted_are_told_of_limits(
    status: int, code: str | None, is_counted: bool, vendor: Vendor
) -> None:
    found = vendor.render_error(RequestError(status, "no", code=code), {}).headers

    assert any(b"ratelimit" in name for name, _ in found) is is_counted


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: str(vendor.name))
def test_a_stream_differs_from_a_whole_answer_in_its_content_headers_only(vendor: Vendor) -> None:
    whole, stream = dict(vendor.headers), dict(vendor.stream_headers)

    assert whole.pop(b"content-type") == b"application/json"
    assert stream.pop(b"content-type") == b"text/event-stream; charset=utf-8"
    assert stream.pop(b"cache-control") == b"no-cache"
    assert whole == stream


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: str(vendor.name))
def test_no_header_is_sent_twice(vendor: Vendor) -> None:
    for headers in (vendor.headers, vendor.stream_headers):
        names = [name for name, _ in headers]
        assert sorted(set(names)) == sorted(names)
        assert [name.lower() for name in names] == names

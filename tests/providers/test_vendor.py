from __future__ import annotations

import re
from datetime import datetime

import pytest

from mockllm.exchange import Headers
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.providers.openai.vendor import OPENAI
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

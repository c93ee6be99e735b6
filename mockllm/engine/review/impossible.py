"""Finds conditions of a match that no request can meet.

Only what is certain is a warning: either two conditions contradict, or every request that meets one
is refused before it is matched, by the rules of HTTP, of its credentials or of the API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from mockllm.config.conditions import HeaderMatch, MatchType
from mockllm.config.mistakes import json_path
from mockllm.config.models import AnyMock
from mockllm.config.traffic import Traffic
from mockllm.engine.conditions import compared_parts
from mockllm.errors import HTTPError, Place, Problem, RequestError, Severity, warning
from mockllm.exchange import Request
from mockllm.http1 import heads
from mockllm.limits import Limits
from mockllm.matching.message_predicates import ItemsEndWith, ItemsEqual
from mockllm.matching.rule import Rule
from mockllm.providers.api import API
from mockllm.providers.request_body import MISSING_MEMBER
from mockllm.providers.routes import NO_VALUES
from mockllm.validation.findings import Confirm, Finding, Kind

MIN_BODY = 10  # bytes; every request has more, even a compressed one

_NOT_IN_VALUE = re.compile(r"[\x00\n\x0b\x0c\r]")  # other controls are sent and accepted
_PLAIN_NAME = re.compile(rb"[0-9a-z_-]+")
_PLAIN_VALUE = re.compile(rb"[!-~]+(?: [!-~]+)*")
_IN_HOST = re.compile(rb"[!$&'()*+,;=:%._~0-9A-Za-z\[\]-]*")  # RFC 3986, section 3.2.2
SAMPLES = {
    b"content-length": b"100",
    b"transfer-encoding": b"chunked",
    b"content-encoding": b"gzip",
    b"expect": b"100-continue",
}
"""Values of headers that cannot have just any."""
CREDENTIALS: Mapping[str, Mapping[bytes, bytes]] = {
    "OpenAI": {b"authorization": b"Bearer any", b"api-key": b"any"},
    "Anthropic": {
        b"authorization": b"Bearer any",
        b"x-api-key": b"any",
        b"anthropic-version": b"2023-06-01",
    },
}
"""Headers with which each vendor accepts a request, by the name of the vendor."""
_ASSIGNED = (("id",), ("status",))
"""Members of an item that are not compared: the service assigns them."""


# --- Headers -------------------------------------------------------------------------------------


def impossible_headers(
    api: API, mock: AnyMock | Traffic, place: Place, *, require_auth: bool
) -> Iterator[Problem]:
    """Report header rules that no request to `api` can meet, alone or together."""
    found = [
        problem
        for at, rule in enumerate(mock.match.headers)
        for problem in _impossible_header(rule, place.at(f"match.headers[{at}]"))
    ]
    found += _contradictions(mock, place)
    if mock.match.headers and all(each.severity is Severity.NOTE for each in found):
        found += _refused_together(api, mock, place.at("match.headers"), require_auth)
    yield from found


def _impossible_header(rule: HeaderMatch, place: Place) -> Iterator[Problem]:
    name, value = compared_parts(rule)
    if not _are_sent({name: SAMPLES.get(name, b"x")}):
        holds = not value and rule.match_type is MatchType.EXACT
        effect = "has no effect" if holds else "can never match"
        yield warning(place, f"{effect}: no header can have the name {rule.name!r}")
    elif _NOT_IN_VALUE.search(rule.value.strip()):
        yield warning(place, "can never match: a header's value has no line breaks and no NUL")
    elif value and not _is_accepted(name, value, rule.match_type):
        yield warning(place, f"can never match: requests with this {rule.name!r} are refused")
    elif not value.isascii():
        message = "matches only clients that send headers as UTF-8; the official ones do not"
        yield Problem(place, message, Severity.NOTE)


def _is_accepted(name: bytes, value: bytes, match_type: MatchType) -> bool:
    """False if every request is refused whose header `name` is or contains `value`."""
    if match_type is MatchType.EXACT:
        too_short = name == b"content-length" and value.isdigit() and int(value) < MIN_BODY
        return not too_short and _are_sent({name: value})
    if name == b"content-length":
        return value.isdigit()
    if name == b"transfer-encoding":
        return value.lower() in SAMPLES[name]
    if name == b"host":
        return _IN_HOST.fullmatch(value) is not None
    return True


def _contradictions(mock: AnyMock | Traffic, place: Place) -> Iterator[Problem]:
    """Report rules for the first value of one header that cannot hold at the same time."""
    exact: dict[bytes, tuple[int, bytes]] = {}
    for at, rule in enumerate(mock.match.headers):
        name, value = compared_parts(rule)
        if rule.match_type is MatchType.EXACT:
            exact.setdefault(name, (at, value))
    for at, rule in enumerate(mock.match.headers):
        name, value = compared_parts(rule)
        first, expected = exact.get(name, (at, value))
        if expected != value if rule.match_type is MatchType.EXACT else value not in expected:
            message = f"can never match: contradicts match.headers[{first}], on the same header"
            yield warning(place.at(f"match.headers[{at}]"), message)


def _refused_together(
    api: API, mock: AnyMock | Traffic, place: Place, require_auth: bool
) -> Iterator[Problem]:
    """Report rules that hold for refused requests only, such as one without any credentials."""
    exact = {name: value for name, value in _headers(mock, MatchType.EXACT) if value}
    if not _are_sent(exact):
        yield warning(place, "can never match: requests with these headers are refused")
    accepted = CREDENTIALS[api.vendor.name]
    given = {
        name: b"%b %b" % (accepted.get(name, b"any"), value)
        for name, value in _headers(mock, MatchType.CONTAINS)
    }
    given |= dict(_headers(mock, MatchType.EXACT))
    request = Request.of("POST", api.routes[0], tuple({**accepted, **given}.items()))
    try:
        api.vendor.authenticate(request, require_auth)
    except RequestError as exc:
        message = f"can never match: requests with these headers are refused: {exc.message}"
        yield warning(place, message)


def _are_sent(headers: Mapping[bytes, bytes]) -> bool:
    """True if HTTP allows a request with these headers, and they arrive as they are."""
    # Nearly all headers are plain; a request takes 60 µs to parse, and 10,000 mocks may have some.
    return all(map(is_plain, headers.items())) or arrive(headers)


def is_plain(header: tuple[bytes, bytes]) -> bool:
    """True if a header is certainly sent as it is, because HTTP gives it no meaning."""
    name, value = header
    if name == b"host" or name in SAMPLES:
        return False
    return _PLAIN_NAME.fullmatch(name) is not None and _PLAIN_VALUE.fullmatch(value) is not None


def arrive(headers: Mapping[bytes, bytes]) -> bool:
    """True if the server accepts the head of a request with these headers, and reads them as they
    are."""
    lines = {b"host": b"localhost", **headers}
    head = b"".join(b"%b: %b\r\n" % line for line in lines.items())
    try:
        received = heads.parse(b"POST / HTTP/1.1\r\n%b\r\n" % head, Limits()).first_values
    except HTTPError:
        return False
    return all(received.get(name) == value for name, value in headers.items())


def _headers(mock: AnyMock | Traffic, match_type: MatchType) -> Iterator[tuple[bytes, bytes]]:
    return (compared_parts(rule) for rule in mock.match.headers if rule.match_type is match_type)


# --- The message or input ------------------------------------------------------------------------


def refused_value(api: API, confirm: Confirm, mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Report a message or input that is compared whole, if `confirm` refuses every request with it.

    It is valid by the SDK's type for a match, in which members may be missing.
    """
    value = getattr(mock.match, api.match_field)
    finding = _finding_in_request(api, confirm, value)
    if finding is None or finding.kind is Kind.UNKNOWN or finding.path[-1:] in _ASSIGNED:
        return
    if finding.kind is Kind.MISSING:
        text = "can never match: requests without it are refused; add it"
        if api.match_field == "message":
            text += ', or compare the text only, with "match_type": "contains"'
    else:
        text = f"can never match: requests with it are refused: {finding.message}"
    yield warning(place.at(json_path(["match", api.match_field, *finding.path])), text)


def compares_whole(rule: Rule) -> bool:
    """True if the whole message or input is compared, not only its texts."""
    return any(isinstance(each, (ItemsEqual, ItemsEndWith)) for each in rule.predicates)


def _finding_in_request(api: API, confirm: Confirm, value: Any) -> Finding | None:
    """Return the first finding in a request whose only message or whose input is `value`; None if
    the request is accepted. Its path begins in `value`."""
    above: tuple[str | int, ...] = ("input",) if api.match_field == "input" else ("messages", 0)
    body = {"input": value} if api.match_field == "input" else {"messages": [value]}
    sent = orjson.dumps(body | {"model": "any", "max_tokens": 1024})
    try:
        prompt = api.decode(Request.of("POST", api.routes[0], body=sent), NO_VALUES)
        finding = confirm(prompt.body)
    except RequestError as exc:
        steps = tuple(
            int(each) if each.isdigit() else each for each in (exc.param or "").split(".")
        )
        kind = Kind.MISSING if exc.code == MISSING_MEMBER else Kind.WRONG
        finding = Finding(steps, exc.message.removeprefix(f"{exc.param}: "), kind)
    if finding is None or finding.path[: len(above)] != above:
        return None
    return replace(finding, path=finding.path[len(above) :])

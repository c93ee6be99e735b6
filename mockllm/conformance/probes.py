"""Builds requests that a mock matches, from the predicates of its rule.

The predicates are resolved to requirements, a draft of a conversation meets those, and each API
writes it in its own form. Members that the API requires and no predicate speaks of are then filled
in, and the rule itself says whether it matches the result: what is not known here, or does not fit
together, leads to no request, never to a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

import orjson

from mockllm.config.models import AnyMock
from mockllm.conformance.body_members import with_members, without_members
from mockllm.conformance.conversations import bodies
from mockllm.conformance.drafts import CALL_ID, Draft
from mockllm.conformance.examples import TEXTS
from mockllm.conformance.headers import find_headers
from mockllm.conformance.own_messages import own_messages
from mockllm.conformance.requirements import ANY_TOOL, Requirements, alternatives
from mockllm.engine.mocks import Table
from mockllm.engine.review.impossible import arrive
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.body_values import BodyHas
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.providers.api import API
from mockllm.providers.request_body import MISSING_MEMBER
from mockllm.validation.findings import Kind

MAX_ALTERNATIVES = 64
"""Ways to meet a match that are tried."""
MAX_BODIES = 40
"""Bodies that are tried for one of them."""
MAX_TRIED = 500
"""Bodies that are tried in all: about 0.1 s."""
MAX_FILLED = 10  # members of one request that are filled in

_FILLERS: Mapping[str, Any] = {
    "content": TEXTS[0],
    "tool_call_id": CALL_ID,
    "tool_use_id": CALL_ID,
    "call_id": CALL_ID,
    "name": ANY_TOOL,
    "arguments": "{}",
    "output": TEXTS[0],
}
"""Values of members that requests need, whatever they are."""


class Probe(NamedTuple):
    """A request that a mock matches. The names of `headers` are in lower case. `stream` is True if
    it matches only while a stream is asked for, False if only while none is; None if either way.
    """

    body: dict[str, Any]
    headers: dict[str, str]
    stream: bool | None = None

    def request(self, api: API) -> Request:
        """Return it as the server receives it, asking for a stream only if it must."""
        return self._request(api, stream=self.stream is True)

    def requests(self, api: API) -> dict[bool, Request]:
        """Return it in the forms that match: True with a stream, False for a whole answer."""
        forms = (False, True) if api.last_events else (False,)
        return {
            stream: self._request(api, stream=stream)
            for stream in forms
            if self.stream in (None, stream)
        }

    def _request(self, api: API, *, stream: bool) -> Request:
        lines = tuple((name.encode(), value.encode()) for name, value in self.headers.items())
        body = self.body | ({"stream": True} if stream else {})
        return Request.of("POST", api.routes[0], lines, orjson.dumps(body))


def build(table: Table, rule: Rule, *, require_auth: bool = True) -> Iterator[Probe]:
    """Yield different requests that are accepted, with credentials if `require_auth`, and satisfy
    `rule`, one of those of `table`; nothing if none is known."""
    seen: set[bytes] = set()
    drafts = _drafts(table, rule, require_auth=require_auth)
    for body, headers in islice(drafts, MAX_TRIED):
        probe = _probe(table, rule, body, headers)
        if probe is not None and not _is_known(probe.body, seen):
            yield probe


def _is_known(body: dict[str, Any], seen: set[bytes]) -> bool:
    """True if `body` is among those `seen`, to which it is added."""
    key = orjson.dumps(body)
    is_known = key in seen
    seen.add(key)
    return is_known


def _drafts(
    table: Table, rule: Rule, *, require_auth: bool
) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Yield bodies and headers that are likely to meet the predicates of `rule`."""
    mock = table.mocks[rule.index]
    for requirements in islice(alternatives(rule.predicates), MAX_ALTERNATIVES):
        headers = find_headers(table.api, requirements)
        if headers is None or not _are_accepted(table, headers, require_auth=require_auth):
            continue
        seen: set[bytes] = set()
        written = _bodies(table.api, mock, requirements)
        new = (body for body in written if not _is_known(body, seen))
        for body in islice(new, MAX_BODIES):
            yield body, headers


def _are_accepted(table: Table, headers: Mapping[str, str], *, require_auth: bool) -> bool:
    """True if the server accepts a request with these headers, as they are."""
    if not arrive({name.encode(): value.encode() for name, value in headers.items()}):
        return False
    request = Probe({}, dict(headers)).request(table.api)
    try:
        table.api.vendor.authenticate(request, require_auth)
    except RequestError:
        return False
    return True


def _bodies(api: API, mock: AnyMock, requirements: Requirements) -> Iterator[dict[str, Any]]:
    """Yield bodies that are likely to meet the requirements, the one most like `mock` first."""
    members = [each for each, holds in requirements if isinstance(each, BodyHas) and holds]
    unwanted = [each for each, holds in requirements if isinstance(each, BodyHas) and not holds]
    draft = Draft.of(requirements)
    for own in own_messages(api, mock, requirements):
        for conversation in draft.answering(own.call_ids).conversations():
            for body in bodies(api, conversation, own.items, draft.inputs):
                for changed in with_members(body, members):
                    yield from without_members(changed, unwanted)


def _probe(table: Table, rule: Rule, body: dict[str, Any], headers: dict[str, str]) -> Probe | None:
    """Return a request with this body, completed; None if the rule does not match it."""
    matching: dict[bool, dict[str, Any]] = {}
    asked = {key: value for key, value in body.items() if (key, value) != ("stream", True)}
    for stream in (False, True) if table.api.last_events else (False,):
        prompt = _complete(table, asked | ({"stream": True} if stream else {}))
        if prompt is None:
            continue
        request = Probe(dict(prompt.body), headers).request(table.api)
        if rule.difference(prompt, request.first_values) is None:
            matching[stream] = {key: prompt.body[key] for key in prompt.body if key != "stream"}
            if not stream and "stream" in asked:  # written as false or null
                matching[stream]["stream"] = asked["stream"]
    match [*matching]:
        case []:
            return None
        case [stream] if table.api.last_events:
            return Probe(matching[stream], headers, stream)
        case [first, *_]:
            return Probe(matching[first], headers)
    return None


# --- what requests need --------------------------------------------------------------------------


def _complete(table: Table, body: dict[str, Any]) -> Prompt | None:
    """Return the prompt of `body` with the members filled in that requests need; None if it is
    refused for another reason."""
    body = orjson.loads(orjson.dumps(body))
    for _ in range(MAX_FILLED):
        try:
            prompt = table.decode(orjson.dumps(body))
        except RequestError as exc:
            if exc.code != MISSING_MEMBER or not _fill(body, (exc.param or "").split(".")):
                return None
            continue
        finding = table.confirm(prompt.body) if table.confirm is not None else None
        if finding is None:
            return prompt
        if finding.kind is not Kind.MISSING or not _fill(body, [*map(str, finding.path)]):
            return None
    return None


def _fill(body: dict[str, Any], path: list[str]) -> bool:
    """Fill in the member at `path`. Returns False if it has no known value."""
    *above, name = path
    if name not in _FILLERS:
        return False
    parent: Any = body
    for step in above:
        parent = parent[int(step)] if isinstance(parent, list) else parent[step]
    parent[name] = _FILLERS[name]
    return True

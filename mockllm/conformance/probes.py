"""Builds requests that a mock matches, from the predicates of its rule.

Each predicate adds what it needs to a draft. Members that the API requires and no predicate speaks
of are then filled in, and the rule itself says whether it matches the result: a predicate that is
not known here, or several that do not fit together, lead to no request, never to a wrong one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, NamedTuple

import orjson

from mockllm.config.models import AnyMock
from mockllm.engine.impossible import CREDENTIALS, SAMPLES, arrive
from mockllm.engine.mocks import Table
from mockllm.errors import RequestError
from mockllm.exchange import Request
from mockllm.matching.conditions import OffersAnyTool, TextIs
from mockllm.matching.predicates import (
    HasInputs,
    HeaderContains,
    HeaderEquals,
    MessageContains,
    OffersTool,
    Predicate,
    SystemContains,
)
from mockllm.matching.rule import Rule
from mockllm.matching.subjects import Subject
from mockllm.matching.text_tests import (
    AllTests,
    AnyTest,
    Comparison,
    EndsWith,
    Equals,
    StartsWith,
    TextTest,
)
from mockllm.prompt import Prompt
from mockllm.providers.api import API
from mockllm.providers.request_body import MISSING_MEMBER
from mockllm.validation.findings import Kind

MODEL = "any-model"
MAX_TOKENS = 1024
TEXTS = ("any text", "#", "another text")  # several, in case an earlier mock matches one
CALL_ID = "call_1"
MAX_FILLED = 10  # members of one request that are filled in

_FILLERS: Mapping[str, Any] = {
    "content": TEXTS[0],
    "tool_call_id": CALL_ID,
    "tool_use_id": CALL_ID,
    "call_id": CALL_ID,
    "name": "a_tool",
    "arguments": "{}",
    "output": TEXTS[0],
}
"""Values of members that requests need, whatever they are."""


class Probe(NamedTuple):
    """A request that a mock matches. The names of `headers` are in lower case."""

    body: dict[str, Any]
    headers: dict[str, str]

    def request(self, api: API) -> Request:
        """Return it as the server receives it."""
        lines = tuple((name.encode(), value.encode()) for name, value in self.headers.items())
        return Request.of("POST", api.routes[0], lines, orjson.dumps(self.body))


def build(table: Table, rule: Rule, *, require_auth: bool = True) -> Iterator[Probe]:
    """Yield different requests that are accepted, with credentials if `require_auth`, and satisfy
    `rule`, one of those of `table`; nothing if none is known."""
    draft = _Draft(table.api)
    for predicate in rule.predicates:
        _require(predicate, draft)
    headers = draft.headers()
    if not arrive({name.encode(): value.encode() for name, value in headers.items()}):
        return
    for body in draft.bodies(table.mocks[rule.index]):
        prompt = _complete(table, body)
        if prompt is None:
            continue
        probe = Probe(dict(prompt.body), headers)
        request = probe.request(table.api)
        try:
            table.api.vendor.authenticate(request, require_auth)
        except RequestError:
            return
        if rule.difference(prompt, request.first_values) is None:
            yield probe


# --- What predicates need ------------------------------------------------------------------------


@dataclass
class _Draft:
    """What a request to `api` needs, so far."""

    api: API
    texts: list[MessageContains] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    """What conditions want the user to say."""
    system: list[str] = field(default_factory=list)
    model: str = MODEL
    tools: list[str] = field(default_factory=list)
    inputs: int = 1
    exact_headers: dict[str, str] = field(default_factory=dict)
    parts_of_headers: dict[str, list[str]] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        """Return the headers. All that one must contain is added to a value that is accepted."""
        credentials = CREDENTIALS[self.api.vendor.name].items()
        headers = {name.decode(): value.decode() for name, value in credentials}
        for name, parts in self.parts_of_headers.items():
            value = headers.get(name, SAMPLES.get(name.encode(), b"any").decode())
            separator = "" if name in ("host", "content-length") else " "
            headers[name] = separator.join([value, *(part for part in parts if part not in value)])
        return headers | self.exact_headers

    def bodies(self, mock: AnyMock) -> Iterator[dict[str, Any]]:
        """Yield bodies, the one most like `mock` first."""
        body: dict[str, Any] = {"model": self.model, "max_tokens": MAX_TOKENS}
        if self.api.name != "anthropic":
            del body["max_tokens"]
        body |= {"tools": [_tool(self.api, name) for name in self.tools]} if self.tools else {}
        system = ("\n".join(self.system) or TEXTS[0]) if self.system else ""
        for value in self._values(mock):
            if self.inputs > 1:
                value = (value if isinstance(value, list) else [value]) * self.inputs
            yield body | _conversation(self.api, system, value)

    def _values(self, mock: AnyMock) -> Iterator[Any]:
        """Yield the last message, or the input."""
        own = getattr(mock.match, self.api.match_field, None)
        if own is not None:
            yield own
        for needed in self.texts:
            for text in TEXTS:
                yield from map(self._value(needed), (text, f"{needed.text} {text}"))
        if own is None:
            said = " ".join(self.words)
            texts = (said, *(f"{said} {text}" for text in TEXTS)) if self.words else TEXTS
            yield from map(self._value(MessageContains("")), texts)

    def _value(self, needed: MessageContains) -> Any:
        if self.api.match_field == "input":
            return lambda text: text
        return lambda text: {"role": needed.role or "user", "content": text}


@singledispatch
def _require(predicate: Predicate, draft: _Draft) -> None:
    """Add what `predicate` needs to `draft`. By default that is the message or input of the mock,
    which every draft begins with."""


@_require.register
def _(predicate: MessageContains, draft: _Draft) -> None:
    draft.texts.append(predicate)


@_require.register
def _(predicate: SystemContains, draft: _Draft) -> None:
    draft.system.append(predicate.text)


@_require.register
def _(predicate: TextIs, draft: _Draft) -> None:
    text = _passing(predicate.test)
    match predicate.subject:
        case Subject.USER | Subject.LAST_USER:
            draft.words.append(text)
        case Subject.SYSTEM:
            draft.system.append(text)
        case Subject.MODEL:
            draft.model = text


@_require.register
def _(predicate: OffersAnyTool, draft: _Draft) -> None:
    draft.tools.append(min(predicate.names))


@_require.register
def _(predicate: OffersTool, draft: _Draft) -> None:
    draft.tools.append(predicate.name)


@_require.register
def _(predicate: HasInputs, draft: _Draft) -> None:
    draft.inputs = predicate.number


@_require.register
def _(predicate: HeaderEquals, draft: _Draft) -> None:
    draft.exact_headers.setdefault(predicate.name.decode(), predicate.value.decode())


@_require.register
def _(predicate: HeaderContains, draft: _Draft) -> None:
    draft.parts_of_headers.setdefault(predicate.name.decode(), []).append(predicate.value.decode())


def _passing(test: TextTest) -> str:
    """Return a text that passes `test`, if there is one that is easily found."""
    match test:
        case Comparison(value):
            return value
        case AnyTest((first, *_)):
            return _passing(first)
        case AllTests(tests):
            exact = next((each for each in tests if isinstance(each, Equals)), None)
            if exact is not None:
                return exact.value
            return " ".join(map(_passing, sorted(tests, key=_place)))
        case _:
            return TEXTS[0]


def _place(test: TextTest) -> int:
    """Return where in a text the part is that `test` wants: the beginning, anywhere, the end."""
    return isinstance(test, EndsWith) - isinstance(test, StartsWith)


# --- Bodies --------------------------------------------------------------------------------------


def _conversation(api: API, system: str, value: Any) -> dict[str, Any]:
    """Return the members with the instructions `system` and the last message or input `value`."""
    if api.match_field == "input":
        return {"input": value} | ({"instructions": system} if system else {})
    if api.name == "anthropic":
        return {"messages": [value]} | ({"system": system} if system else {})
    return {"messages": [*([{"role": "system", "content": system}] if system else ()), value]}


def _tool(api: API, name: str) -> dict[str, Any]:
    """Return a tool called `name`."""
    parameters = {"type": "object", "properties": {}}
    if api.name == "anthropic":
        return {"name": name, "input_schema": parameters}
    if api.name == "openai":
        return {"type": "function", "function": {"name": name, "parameters": parameters}}
    return {"type": "function", "name": name, "parameters": parameters, "strict": False}


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

"""``mockllm check --wire``: sends the response of every mock to the official clients.

For each mock a matching request is derived and sent to a server in this process by the SDKs' own
clients, which validate every response against their types, whole and streamed. Their errors, and
mocks that the derived request does not reach, are reported as warnings.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson

from mockllm.config.models import Config, MatchType, Mock
from mockllm.engine.asking import answer_at_once
from mockllm.engine.building import build_engine
from mockllm.engine.decision import Decision
from mockllm.engine.engine import Engine
from mockllm.engine.mocks import Table
from mockllm.engine.review import compares_exactly
from mockllm.errors import Problem, Severity
from mockllm.exchange import Request
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.serve.embedded import AsyncServer
from mockllm.state.store import LocalStore

MODEL = "any-model"
MAX_TOKENS = 1024
CALL_ID = "call_1"
TEXT = "any text"  # for a mock that matches any text

_CREDENTIALS = {"authorization": "Bearer any", "anthropic-version": "2023-06-01"}
_OTHER_KEYS = {"api-key": "any", "x-api-key": "any"}  # if a mock wants its own Authorization


def check_wire(config: Config) -> list[Problem]:
    """Return the problems that the clients have with responses, in the order of the mocks.

    Raises:
        ConfigError: the configuration cannot be served.
    """
    return asyncio.run(_check(config))


async def _check(config: Config) -> list[Problem]:
    from mockllm.conformance import sdk  # imports both SDKs, which takes seconds

    engine = build_engine(config)
    async with AsyncServer(config) as server, sdk.Clients(server.base_url) as clients:
        return [
            problem
            for table in engine.tables
            for rule in table.index.rules
            async for problem in _check_mock(engine, clients, table, rule.index)
        ]


async def _check_mock(
    engine: Engine, clients: Any, table: Table, index: int
) -> AsyncIterator[Problem]:
    api, mock = table.api, table.mocks[index]
    place = mock.place_in(api.name, index)
    body, headers = body_for(api.name, mock), headers_for(mock)
    obstacle = _find_obstacle(engine, table, index, body, headers)
    if obstacle is not None:
        yield Problem(place, *obstacle)
        return
    for how, complaint in [each async for each in clients.complaints(api.name, body, headers)]:
        yield Problem(place.at(how), complaint, Severity.WARNING)


def _find_obstacle(
    engine: Engine, table: Table, index: int, body: dict[str, Any], headers: dict[str, str]
) -> tuple[str, Severity] | None:
    """The reason why the mock at `index` does not answer; None if it does. A mock behind another is
    not at fault."""
    fields = {**_CREDENTIALS, **headers}.items()
    request = Request.of(
        "POST",
        table.api.routes[0],
        tuple((name.lower().encode(), value.strip().encode()) for name, value in fields),
        orjson.dumps(body),
    )
    decision = answer_at_once(engine.decide(table, request), LocalStore(), now=0.0)
    assert isinstance(decision, Decision)  # an engine asks a store only
    if decision.match.rule is None:
        error = orjson.loads(decision.reply.body.decode("utf-8", "replace"))["error"]["message"]
        return f"a request like its match is refused: {error}", Severity.WARNING
    if decision.match.rule.index != index:
        answering = decision.match.rule.label
        return f"not checked: {answering} answers a request like its match", Severity.NOTE
    return None


# --- requests that a mock matches ----------------------------------------------------------------


def body_for(api: str, mock: Mock) -> dict[str, Any]:
    """Return the smallest request body that `mock` matches."""
    body: dict[str, Any] = {"model": MODEL}
    if api == "anthropic":
        body["max_tokens"] = MAX_TOKENS
    match = mock.match
    if system := getattr(match, "system_contains", ()):
        body |= _system(api, "\n".join(system))
    if names := getattr(match, "tool_names", ()):
        body["tools"] = [_tool(api, name) for name in names]
    if not hasattr(match, "message"):
        return body | {"input": _input(api, mock)}
    message = {"role": "user"} if match.message is None else dict(match.message)
    if match.message is None:
        message["content"] = TEXT
    if match.match_type is MatchType.CONTAINS and not message.get("content"):
        message["content"] = TEXT
    if match.match_type is MatchType.CONTAINS and message["role"] == "tool":
        message.setdefault("tool_call_id", CALL_ID)  # requests need it, and rules ignore it
    return body | {"messages": [*body.get("messages", ()), message]}


def _input(api: str, mock: Mock) -> Any:
    """Return an input that `mock` matches; of embeddings, as many as it answers at once."""
    value = _one_input(mock.match)
    if api != EMBEDDINGS.name or EMBEDDINGS.batch is None:
        return value
    number = EMBEDDINGS.batch.answers(mock.answer)
    if number <= 1 or compares_exactly(EMBEDDINGS, mock):
        return value
    return (value if isinstance(value, list) else [value]) * number


def _one_input(match: Any) -> Any:
    """Return an input that `match` accepts. Items may be written there without the output that
    requests need."""
    wanted = match.input
    if wanted is None or (not wanted and match.match_type is MatchType.CONTAINS):
        return TEXT
    if isinstance(wanted, str):
        return wanted
    return [{**item, "output": TEXT} if _lacks_output(item) else item for item in wanted]


def _lacks_output(item: Any) -> bool:
    kind = item.get("type") if isinstance(item, dict) else None
    return isinstance(kind, str) and kind.endswith("_call_output") and item.get("output") is None


def _system(api: str, text: str) -> dict[str, Any]:
    """Return the members of a body with the instructions `text`."""
    if api == "openai":
        return {"messages": [{"role": "system", "content": text}]}
    return {"system" if api == "anthropic" else "instructions": text}


def _tool(api: str, name: str) -> dict[str, Any]:
    """Return a tool called `name`."""
    parameters = {"type": "object", "properties": {}}
    if api == "anthropic":
        return {"name": name, "input_schema": parameters}
    if api == "openai":
        return {"type": "function", "function": {"name": name, "parameters": parameters}}
    return {"type": "function", "name": name, "parameters": parameters, "strict": False}


def headers_for(mock: Mock) -> dict[str, str]:
    """Return the headers that `mock` requires, by their names in lower case. An empty value means
    an absent header; all that one header must contain is joined."""
    headers: dict[str, str] = {}
    for header in sorted(mock.match.headers, key=lambda each: each.match_type):  # contains first
        name = header.name.strip().lower()
        if header.match_type is MatchType.EXACT:
            headers[name] = header.value
        elif header.value not in headers.get(name, ""):
            headers[name] = " ".join(filter(None, (headers.get(name), header.value)))
    found = {name: value for name, value in headers.items() if value}
    return _OTHER_KEYS | found if "authorization" in found else found

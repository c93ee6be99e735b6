"""Rules and requests for property tests: few words, so that they often match."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from hypothesis import strategies as st

from mockllm.exchange import Request
from mockllm.matching.header_predicates import HeaderContains, HeaderEquals
from mockllm.matching.predicate import DECIDE, Difference, Headers, Predicate
from mockllm.matching.request_predicates import OffersTool, SystemContains
from mockllm.matching.rule import Rule
from mockllm.prompt import Prompt
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.openai.responses import RESPONSES
from mockllm.providers.routes import NO_VALUES

WORDS = ["", "a", "b", "ab", "aba", "é", "e\u0301", "👩‍🚀", "a b", "call_1"]

TOOLS = ["f", "g"]

texts = st.sampled_from(WORDS)
roles = st.sampled_from(["user", "assistant", "system", "developer", "tool"])


def ask_chat(messages: list[Any], **more: Any) -> Prompt:
    """A Chat Completions request as the rules see it."""
    body = {"model": "m", "messages": messages, **more}
    return _decode(CHAT, body)


def ask_messages(messages: list[Any], **more: Any) -> Prompt:
    """A Messages request as the rules see it."""
    body = {"model": "m", "max_tokens": 9, "messages": messages, **more}
    return _decode(MESSAGES, body)


def ask_responses(value: Any, **more: Any) -> Prompt:
    """A Responses request as the rules see it."""
    return _decode(RESPONSES, {"model": "m", "input": value, **more})


def ask_embeddings(value: Any, **more: Any) -> Prompt:
    """An Embeddings request as the rules see it."""
    return _decode(EMBEDDINGS, {"model": "m", "input": value, **more})


def _decode(api: API, body: Any) -> Prompt:
    return api.decode(Request.of("POST", api.routes[0], body=orjson.dumps(body)), NO_VALUES)


def header_sets() -> st.SearchStrategy[dict[bytes, bytes]]:
    """First values of a request's headers."""
    values = st.sampled_from([b"", b"a", b"b", b"ab"])
    return st.dictionaries(st.sampled_from([b"x-a", b"x-b"]), values)


def header_predicates() -> st.SearchStrategy[Predicate]:
    """Conditions on one of the headers of `header_sets`."""
    return st.builds(
        lambda kind, name, value: kind(name, name.decode(), value),
        st.sampled_from([HeaderEquals, HeaderContains]),
        st.sampled_from([b"x-a", b"x-b"]),
        st.sampled_from([b"", b"a", b"b"]),
    )


def request_predicates() -> st.SearchStrategy[Predicate]:
    """Conditions on the instructions and the tools of `chat_requests`."""
    return st.one_of(
        st.builds(SystemContains, texts), st.builds(OffersTool, st.sampled_from(TOOLS))
    )


CALLS = st.sampled_from(["call_1", "call_2"])
IMAGES = st.sampled_from(["data:,a", "data:,b"]).map(
    lambda url: {"type": "image_url", "image_url": {"url": url}}
)


def _contents(part_type: str, others: st.SearchStrategy[Any] | None = None) -> Any:
    part: Any = st.builds(lambda text: {"type": part_type, "text": text}, texts)
    parts = part if others is None else st.one_of(part, others)
    return st.one_of(texts, st.lists(parts, min_size=1, max_size=2))


def _present(**members: Any) -> dict[str, Any]:
    return {name: member for name, member in members.items() if member is not None}


def chat_messages() -> st.SearchStrategy[dict[str, Any]]:
    """A message: string or parts, with and without a name; the result of a call, also without a
    content."""
    message = st.builds(
        lambda role, content, name: _present(role=role, content=content, name=name),
        roles,
        _contents("text", IMAGES),
        st.sampled_from([None, "x"]),
    )
    result = st.builds(
        lambda content, call_id: _present(role="tool", tool_call_id=call_id, content=content),
        st.one_of(st.none(), texts, _contents("text")),
        CALLS,
    )
    return st.one_of(message, result)


def blocks_messages() -> st.SearchStrategy[dict[str, Any]]:
    """A message of the Messages API: a string, or text blocks, images and results of calls."""
    image = st.just({"type": "image", "source": {"type": "url", "url": "https://x"}})
    result = st.builds(
        lambda content, call_id: _present(type="tool_result", tool_use_id=call_id, content=content),
        st.one_of(st.none(), texts, _contents("text", image)),
        CALLS,
    )
    return st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["user", "assistant", "system"]),
        _contents("text", st.one_of(image, result)),
    )


def items() -> st.SearchStrategy[dict[str, Any]]:
    """An input item: a message, a call's output, a reference; also without their content."""
    message = st.builds(
        lambda role, content: _present(role=role, content=content),
        roles.filter(lambda role: role != "tool"),
        st.one_of(st.none(), _contents("input_text")),
    )
    output = st.builds(
        lambda text, call_id: _present(type="function_call_output", call_id=call_id, output=text),
        st.one_of(st.none(), texts),
        CALLS,
    )
    reference = st.builds(lambda text: {"type": "item_reference", "id": text}, texts)
    return st.one_of(message, output, reference)


def _inputs() -> st.SearchStrategy[Any]:
    return st.one_of(texts, st.lists(items(), max_size=3))


def _rules(provider: API, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Rule]]:
    def compile_rules(matches: list[tuple[Any, bool, list[Predicate], bool]]) -> list[Rule]:
        rules: list[Rule] = []
        for value, contains, headers, stateful in matches:
            predicates = (provider.compile_match(value, contains), *headers)
            rules.append(Rule(len(rules), f"mock {len(rules)}", predicates, stateful))
        return rules

    headers = st.lists(header_predicates(), max_size=2)
    return st.lists(st.tuples(values, st.booleans(), headers, st.booleans()), max_size=8).map(
        compile_rules
    )


def chat_rules() -> st.SearchStrategy[list[Rule]]:
    """Rules of Chat Completions in the order of a configuration."""
    return _rules(CHAT, chat_messages())


def chat_requests() -> st.SearchStrategy[Prompt]:
    """Requests of Chat Completions, with and without tools."""
    tool = st.sampled_from(TOOLS).map(lambda name: {"type": "function", "function": {"name": name}})
    return st.builds(
        lambda messages, tools: ask_chat(messages, tools=tools),
        st.lists(chat_messages(), min_size=1, max_size=3),
        st.lists(tool, max_size=2),
    )


def messages_rules() -> st.SearchStrategy[list[Rule]]:
    """Rules of Messages in the order of a configuration."""
    return _rules(MESSAGES, blocks_messages())


def messages_requests() -> st.SearchStrategy[Prompt]:
    """Requests of Messages."""
    return st.lists(blocks_messages(), min_size=1, max_size=3).map(ask_messages)


def responses_rules() -> st.SearchStrategy[list[Rule]]:
    """Rules of Responses in the order of a configuration."""
    return _rules(RESPONSES, _inputs())


def responses_requests() -> st.SearchStrategy[Prompt]:
    """Requests of Responses."""
    return _inputs().map(ask_responses)


@dataclass(frozen=True)
class ModelIs(Predicate):
    """A kind of condition that the index has no entry for."""

    model: str

    def difference(
        self, prompt: Prompt, headers: Headers, *, closer_than: int = DECIDE
    ) -> Difference | None:
        if prompt.model == self.model:
            return None
        return Difference(1, lambda: f"model is {prompt.model!r}, expected {self.model!r}")


def mixed_rules() -> st.SearchStrategy[list[Rule]]:
    """Rules with any number of conditions of any kind, in any order."""
    predicate = st.one_of(
        header_predicates(),
        request_predicates(),
        st.builds(ModelIs, st.sampled_from(["m", "n"])),
        chat_rules().filter(bool).map(lambda rules: rules[0].predicates[0]),
    )
    predicates = st.lists(st.lists(predicate, max_size=3).map(tuple), max_size=6)
    return st.builds(
        lambda wanted, states: [
            Rule(index, f"mock {index}", each, stateful)
            for index, (each, stateful) in enumerate(zip(wanted, states, strict=False))
        ],
        predicates,
        st.lists(st.booleans(), min_size=6, max_size=6),
    )


ASKED: dict[str, st.SearchStrategy[tuple[list[Rule], Prompt, dict[bytes, bytes]]]] = {
    "chat": st.tuples(chat_rules(), chat_requests(), header_sets()),
    "responses": st.tuples(responses_rules(), responses_requests(), header_sets()),
    "messages": st.tuples(messages_rules(), messages_requests(), header_sets()),
    "several conditions or none": st.tuples(mixed_rules(), chat_requests(), header_sets()),
}
"""Rules of each API, and of any kind, with a request to it and the headers of that."""

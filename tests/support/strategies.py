"""Rules and requests for property tests: few words, so that they often meet."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st

from mockllm.exchange import Request
from mockllm.matching.rule import HeaderRule, Rule
from mockllm.prompt import Prompt
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.api import API
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.embeddings import EMBEDDINGS
from mockllm.providers.openai.responses import RESPONSES
from mockllm.providers.routes import NO_VALUES

WORDS = ["", "a", "b", "ab", "aba", "é", "e\u0301", "👩‍🚀", "a b", "call_1"]

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


def header_sets() -> st.SearchStrategy[dict[bytes, bytes]]:
    """First values of a request's headers."""
    values = st.sampled_from([b"", b"a", b"b", b"ab"])
    return st.dictionaries(st.sampled_from([b"x-a", b"x-b"]), values)


def _header_rules() -> st.SearchStrategy[tuple[HeaderRule, ...]]:
    header = st.builds(
        lambda name, value, contains: HeaderRule(name, name.decode(), value, contains),
        st.sampled_from([b"x-a", b"x-b"]),
        st.sampled_from([b"", b"a", b"b"]),
        st.booleans(),
    )
    return st.lists(header, max_size=2).map(tuple)


def _contents(part_type: str) -> st.SearchStrategy[Any]:
    part = st.builds(lambda text: {"type": part_type, "text": text}, texts)
    return st.one_of(texts, st.lists(part, min_size=1, max_size=2))


def chat_messages() -> st.SearchStrategy[dict[str, Any]]:
    """A message: string or parts, with and without a name."""
    return st.builds(
        lambda role, content, name: (
            {"role": role, "content": content} | ({"name": name} if name else {})
        ),
        roles,
        _contents("text"),
        st.sampled_from([None, "x"]),
    )


def items() -> st.SearchStrategy[dict[str, Any]]:
    """An input item: a message, a call's output, a reference."""
    message = st.builds(
        lambda role, content: {"role": role, "content": content},
        roles.filter(lambda role: role != "tool"),
        _contents("input_text"),
    )
    output = st.builds(
        lambda text: {"type": "function_call_output", "call_id": "call_1", "output": text}, texts
    )
    reference = st.builds(lambda text: {"type": "item_reference", "id": text}, texts)
    return st.one_of(message, output, reference)


def _inputs() -> st.SearchStrategy[Any]:
    return st.one_of(texts, st.lists(items(), max_size=3))


def _rules(provider: API, values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Rule]]:
    def compiled(wants: list[tuple[Any, bool, tuple[HeaderRule, ...]]]) -> list[Rule]:
        rules: list[Rule] = []
        for value, contains, headers in wants:
            try:
                expectation = provider.compile_match(value, contains)
            except ValueError:  # several texts to contain: refused at load
                continue
            rules.append(Rule(len(rules), f"mock {len(rules)}", expectation, headers))
        return rules

    want = st.tuples(values, st.booleans(), _header_rules())
    return st.lists(want, max_size=8).map(compiled)


def chat_rules() -> st.SearchStrategy[list[Rule]]:
    """Rules of Chat Completions in the order of a configuration."""
    return _rules(CHAT, chat_messages())


def chat_requests() -> st.SearchStrategy[Prompt]:
    """Requests of Chat Completions."""
    return st.lists(chat_messages(), min_size=1, max_size=3).map(ask_chat)


def responses_rules() -> st.SearchStrategy[list[Rule]]:
    """Rules of Responses in the order of a configuration."""
    return _rules(RESPONSES, _inputs())


def responses_requests() -> st.SearchStrategy[Prompt]:
    """Requests of Responses."""
    return _inputs().map(ask_responses)


def _decode(api: API, body: Any) -> Prompt:
    return api.decode(Request.of("POST", api.routes[0], body=orjson.dumps(body)), NO_VALUES)

"""Replies that are made for each request: their texts, their tokens, where the limit cuts them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.config.reply import Reply
from mockllm.engine.asked import Asked
from mockllm.engine.made_reply import MadeReply, MadeReplyError
from mockllm.engine.reply import compile_made
from mockllm.exchange import Request
from mockllm.pieces import finish
from mockllm.providers.reply import NeutralCall, NeutralReply, NeutralUsage
from mockllm.replies.generated import SLICE
from mockllm.wire import tokens
from tests.support.strategies import ask_chat

CALLS = [{"name": "f", "arguments": {"a": 1}}]  # 2 tokens
TEXTS = st.text(max_size=20)


def still() -> float:
    """A clock that stands still."""
    return 0.0


def asked(text: str = "Hi", **members: Any) -> Asked:
    messages = [{"role": "user", "content": text}]
    body = orjson.dumps({"messages": messages, **members})
    return Asked(ask_chat(messages, **members), Request.of("POST", "/v1/chat", (), body))


def made_of(**members: Any) -> MadeReply:
    made = compile_made(Reply.model_validate(members))
    assert made is not None
    return made


def make(request: Asked, **members: Any) -> NeutralReply:
    reply: NeutralReply = finish(made_of(**members).make(request, still))
    return reply


def words(count: int) -> dict[str, Any]:
    return {"generate": {"tokens": count}}


ECHO = {"generate": "echo"}


# --- Texts ----------------------------------------------------------------------------------------


def test_a_reply_that_is_written_is_not_made() -> None:
    assert compile_made(Reply(text="a", reasoning="b")) is None


@pytest.mark.parametrize("count", [1, 300, SLICE + 1])
def test_as_many_words_are_said_as_tokens_are_asked_for(count: int) -> None:
    reply = make(asked(), text=words(count))

    assert reply.text is not None
    assert len(reply.text.split(" ")) == count
    assert reply.usage == NeutralUsage(output=count, reasoning=0)
    assert reply.finish is None


def test_the_same_request_has_the_same_words_and_another_one_others() -> None:
    first, again = make(asked(), text=words(20)), make(asked(), text=words(20))
    other = make(asked("Hello"), text=words(20))

    assert first == again
    assert first.text != other.text


def test_the_reasoning_has_other_words_than_the_text() -> None:
    reply = make(asked(), text=words(20), reasoning=words(20))

    assert reply.text != reply.reasoning


@given(TEXTS)
def test_an_echo_says_the_users_last_words(text: str) -> None:
    reply = make(asked(text), text=ECHO)

    assert reply.text == text
    assert reply.usage.output == tokens.estimate(text)


def test_an_echo_leaves_out_the_reminders_of_agents() -> None:
    content = [{"type": "text", "text": each} for each in ("<system-reminder>", "Hi")]
    prompt = ask_chat([{"role": "user", "content": content}])

    assert make(asked()._replace(prompt=prompt), text=ECHO).text == "Hi"


def test_an_echo_of_a_long_conversation_is_read_in_pieces() -> None:
    """300,000 messages held the loop for 440 ms."""
    messages = [{"role": "user", "content": "a"}] * 5_000
    request = Asked(ask_chat(messages), Request.of("POST", "/"))

    assert sum(1 for _ in made_of(text=ECHO).make(request, still)) >= 20
    assert make(request, text=ECHO).text == "a"


def test_an_echo_of_a_request_without_words_is_empty() -> None:
    prompt = ask_chat([{"role": "system", "content": "Be brief."}])

    assert make(asked()._replace(prompt=prompt), text=ECHO, reasoning=ECHO) == NeutralReply(
        text="", usage=NeutralUsage(output=0, reasoning=0)
    )


# --- The limit ------------------------------------------------------------------------------------


@given(
    reasoning=st.integers(1, 30),
    text=st.integers(1, 30),
    limit=st.integers(1, 70),
)
def test_the_limit_cuts_what_is_generated(reasoning: int, text: int, limit: int) -> None:
    reply = make(
        asked(max_tokens=limit), reasoning=words(reasoning), text=words(text), tool_calls=CALLS
    )

    thought = min(reasoning, limit)
    said = min(text, limit - thought)
    is_cut = reasoning + text > limit
    assert len((reply.reasoning or "").split()) == thought
    assert len((reply.text or "").split()) == said
    assert reply.finish == ("length" if is_cut else None)
    assert reply.calls == (() if is_cut else (NeutralCall("f", '{"a":1}'),))
    assert reply.usage.output == thought + said + (0 if is_cut else 2)
    assert reply.usage.reasoning == thought


@given(text=TEXTS.filter(bool), limit=st.integers(1, 10))
def test_the_limit_cuts_an_echo(text: str, limit: int) -> None:
    reply = make(asked(text, max_completion_tokens=limit, max_tokens=99), text=ECHO)

    said = reply.text or ""
    fits = tokens.estimate(text) <= limit
    assert text.startswith(said)
    assert tokens.estimate(said) <= limit
    assert (said == text, reply.finish) == ((True, None) if fits else (False, "length"))


def test_what_is_written_counts_but_is_not_cut() -> None:
    reply = make(asked(max_tokens=5), reasoning="x" * 12, text=words(3))
    long = make(asked(max_tokens=5), reasoning="x" * 99, text=words(3))

    assert (reply.reasoning, len((reply.text or "").split())) == ("x" * 12, 2)
    assert reply.usage == NeutralUsage(output=5, reasoning=3)
    assert (long.reasoning, long.text, long.finish) == ("x" * 99, None, "length")


@pytest.mark.parametrize("limit", [None, "3", True, -1, 1.5, [3]])
def test_a_limit_that_is_none_does_not_cut(limit: Any) -> None:
    reply = make(asked()._replace(prompt=_with_limit(limit)), text=words(9))

    assert reply.finish is None


def _with_limit(limit: Any) -> Any:
    prompt = ask_chat([{"role": "user", "content": "Hi"}])
    prompt.body = {**prompt.body, "max_tokens": limit}
    return prompt


# --- Templates ------------------------------------------------------------------------------------


def template(source: str) -> dict[str, Any]:
    return {"template": source}


def test_each_text_may_be_a_template() -> None:
    reply = make(asked("Paris"), text=template("{{ user }}!"), reasoning=template("{{ turn }}"))
    refusal = make(asked("Paris"), refusal=template("Not {{ user }}."))

    assert (reply.text, reply.reasoning, reply.usage) == ("Paris!", "1", NeutralUsage())
    assert refusal.refusal == "Not Paris."


def test_values_inside_of_arguments_and_json_may_be_templates() -> None:
    value = {
        "a": [template("{{ user }}"), 1],
        "b": {"template": "{{ user }}", "c": 2},
        "d": "{{ 1 }}",
    }
    said = '{"a":["Paris",1],"b":{"template":"{{ user }}","c":2},"d":"{{ 1 }}"}'

    calls = make(asked("Paris"), tool_calls=[{"name": "f", "arguments": value, "id": "c"}]).calls

    assert calls == (NeutralCall("f", said, "c"),)
    assert make(asked("Paris"), json=value).json == said
    assert make(asked('"'), json=template("{{ user }}")).json == r'"\""'


def test_all_arguments_may_be_the_text_of_a_template() -> None:
    arguments = template('{"city": {{ user | tojson }}}')

    calls = make(asked('"Paris"'), tool_calls=[{"name": "f", "arguments": arguments}]).calls

    assert calls == (NeutralCall("f", r'{"city": "\"Paris\""}'),)


@pytest.mark.parametrize("text", ["{{ user }}", "{% if %}", "{# #}"])
def test_nothing_else_is_taken_for_a_template(text: str) -> None:
    calls: Any = [{"name": "f", "arguments": {"template": text, "a": text}}, {"name": text}]

    assert compile_made(Reply(text=text, reasoning=text, tool_calls=calls)) is None
    assert compile_made(Reply(json=[text, {"template": 1}])) is None


def test_an_empty_reasoning_is_left_out_and_an_empty_refusal_is_a_mistake() -> None:
    assert make(asked(), reasoning=template(""), text="a").reasoning is None
    with pytest.raises(MadeReplyError, match=r"reply\.refusal: the template makes an empty text"):
        make(asked(), refusal=template("{# nothing #}"))


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"text": template("{{ 1 / 0 }}")}, "reply.text"),
        ({"reasoning": template("{{ 1 / 0 }}")}, "reply.reasoning"),
        ({"json": [1, template("{{ 1 / 0 }}")]}, "reply.json"),
        (
            {"tool_calls": [*CALLS, {"name": "g", "arguments": {"a": template("{{ 1 / 0 }}")}}]},
            "reply.tool_calls[1].arguments",
        ),
    ],
)
def test_a_failure_names_its_place(members: dict[str, Any], path: str) -> None:
    with pytest.raises(MadeReplyError) as failed:
        make(asked(), **members)

    assert (failed.value.path, failed.value.reason) == (
        path,
        "the template failed: division by zero",
    )


def test_a_template_counts_towards_the_limit_but_is_not_cut() -> None:
    reply = make(asked(max_tokens=2), reasoning=template("a" * 16), text=words(3))
    alone = make(asked(max_tokens=2), text=template("a" * 16))

    assert (reply.reasoning, reply.text, reply.finish) == ("a" * 16, None, "length")
    assert (alone.text, alone.finish) == ("a" * 16, None)


# --- Tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({}, NeutralUsage(output=9, reasoning=4)),
        ({"input": 3, "cached": 2}, NeutralUsage(3, 9, 2, 4)),
        ({"output": 7}, NeutralUsage(output=7)),
        ({"reasoning": 1}, NeutralUsage(output=6, reasoning=1)),
        ({"output": 7, "reasoning": 1}, NeutralUsage(output=7, reasoning=1)),
    ],
)
def test_written_numbers_of_tokens_stay(usage: dict[str, int], expected: NeutralUsage) -> None:
    assert make(asked(), text=words(5), reasoning=words(4), usage=usage).usage == expected


# --- Pieces ---------------------------------------------------------------------------------------


def pauses(made: Generator[bool, None, NeutralReply]) -> list[bool]:
    return list(made)


def test_a_short_reply_is_made_without_a_pause() -> None:
    assert pauses(made_of(text=words(SLICE), reasoning=ECHO).make(asked(), still)) == []


def test_a_long_reply_is_made_in_slices_and_rendered_in_a_turn_of_its_own() -> None:
    made = made_of(text=words(3 * SLICE)).make(asked(), still)

    assert pauses(made) == [False, False, True]


def test_a_reply_depends_on_an_earlier_request_only_if_it_repeats_its_words() -> None:
    assert made_of(text=ECHO).looks_back
    assert made_of(text="a", reasoning=ECHO).looks_back
    assert not made_of(text=words(3)).looks_back
    assert made_of(json=[template("{{ turn }}")]).looks_back
    assert not made_of(text=template("{{ model }}{{ body }}")).looks_back

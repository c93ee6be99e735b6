"""A condition has one verdict on a conversation, whichever API it comes through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockllm.matching import specification
from mockllm.matching.effort import Effort
from mockllm.matching.index import RuleIndex
from mockllm.pieces import finish
from mockllm.prompt import Earlier, Prompt, ToolCall
from mockllm.providers.anthropic.messages import MESSAGES
from mockllm.providers.openai.chat import CHAT
from mockllm.providers.openai.responses import RESPONSES
from tests.matching.test_index import check_index
from tests.support.conversations import (
    Conversation,
    as_chat,
    as_messages,
    as_messages_in_blocks,
    as_responses,
    conversations,
)
from tests.support.matches import APIS, Match, bodies, compile_rule, matches
from tests.support.rules import user
from tests.support.strategies import ask_chat, ask_embeddings, ask_messages, ask_responses

UNTOLD_IN_CHAT = "a request of OpenAI Chat Completions does not tell that a tool failed"
UNTOLD_IN_RESPONSES = "a request of OpenAI Responses tells of patches only that a tool failed"
ASK = (as_chat, as_responses, as_messages)


def verdict(match: Match, prompt: Prompt) -> str | None:
    """None if `match` holds, else the reason why it does not."""
    difference = compile_rule(CHAT, match).difference(prompt, {})
    return None if difference is None else difference.reason()


def holds(match: Match, prompt: Prompt) -> bool:
    return verdict(match, prompt) is None


# --- properties -----------------------------------------------------------------------------------


@settings(max_examples=500)
@given(matches(2), conversations())
def test_a_match_has_the_same_verdict_in_every_api(
    match: Match, conversation: Conversation
) -> None:
    verdicts = [
        compile_rule(api, match).difference(ask(conversation), {})
        for api, ask in zip((*APIS, MESSAGES), (*ASK, as_messages_in_blocks), strict=True)
    ]

    reasons = {None if each is None else _as_if_told(each.reason()) for each in verdicts}
    assert len(reasons) == 1, reasons


def _as_if_told(reason: str) -> str:
    """The reason in an API that tells whether a tool failed."""
    for untold in (UNTOLD_IN_CHAT, UNTOLD_IN_RESPONSES):
        reason = reason.replace(untold, "the tool succeeded, expected the opposite")
    return reason


@st.composite
def rules_of(draw: st.DrawFn) -> list[Any]:
    wanted = draw(st.lists(matches(1, body=bodies()), max_size=14))
    states = draw(st.lists(st.booleans(), min_size=14, max_size=14))
    return [
        compile_rule(CHAT, match, at, stateful=stateful)
        for at, (match, stateful) in enumerate(zip(wanted, states, strict=False))
    ]


@settings(max_examples=500)
@given(rules_of(), conversations(), st.sampled_from(ASK))
def test_the_index_finds_what_the_specification_finds(
    rules: list[Any], conversation: Conversation, ask: Any
) -> None:
    check_index(rules, ask(conversation), {})


@settings(max_examples=500)
@given(matches(1), matches(1), conversations())
def test_a_match_that_covers_another_holds_whenever_it_does(
    one: Match, other: Match, conversation: Conversation
) -> None:
    prompt = as_chat(conversation)
    cover, later = compile_rule(CHAT, one), compile_rule(CHAT, other, 1)

    if cover.covers(later) and later.difference(prompt, {}) is None:
        assert cover.difference(prompt, {}) is None


def test_many_rules_that_share_a_condition_are_told_apart_by_another() -> None:
    tools = ["get_weather", "search"]
    rules = [
        compile_rule(CHAT, {"model": "m", "tools": [tool], "system": {"contains": f"part {n}"}}, at)
        for at, (tool, n) in enumerate((tool, n) for tool in tools for n in range(50))
    ]
    prompt = ask_chat(
        [{"role": "system", "content": "part 7 of 50"}, {"role": "user", "content": "hi"}],
        tools=[{"type": "function", "function": {"name": "search"}}],
    )

    found = RuleIndex(rules).find(prompt, {})

    assert found is rules[57]
    assert found is specification.first_match(rules, prompt, {})


# --- the last turn --------------------------------------------------------------------------------

CALL = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
ASKED = {"role": "user", "content": "weather in Paris?"}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "15 degrees"}
NOTE = {"role": "user", "content": "<environment>linux</environment>"}
DONE = {"role": "assistant", "content": "It is 15 degrees."}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([ASKED], {"user": True, "last_user": True, "result": False, "step": 1, "turn": 1}),
        (
            [ASKED, CALLED, RESULT],
            {"user": False, "last_user": True, "result": True, "step": 2, "turn": 2},
        ),
        (
            [ASKED, CALLED, RESULT, NOTE],
            {"user": False, "last_user": False, "result": True, "step": 2, "turn": 2},
        ),
        (
            [ASKED, CALLED, RESULT, DONE, ASKED],
            {"user": True, "last_user": True, "result": False, "step": 1, "turn": 3},
        ),
        (
            [ASKED, {"role": "assistant", "content": "It is"}],
            {"user": True, "last_user": True, "result": False, "step": 1, "turn": 1},
        ),
        (
            [ASKED, {"role": "system", "content": "be brief"}],
            {"user": True, "last_user": True, "result": False, "step": 1, "turn": 1},
        ),
    ],
    ids=["question", "result", "note behind a result", "second question", "prefill", "system note"],
)
def test_the_last_turn_is_everything_after_the_last_answer(
    messages: list[Any], expected: dict[str, Any]
) -> None:
    prompt = ask_chat(messages)

    found = {
        "user": holds({"user": {"contains": "Paris"}}, prompt),
        "last_user": holds({"last_user": {"contains": "Paris"}}, prompt),
        "result": holds({"tool_result": {"name": "get_weather", "text": "15 degrees"}}, prompt),
        "step": next(n for n in range(1, 9) if holds({"step": n}, prompt)),
        "turn": next(n for n in range(1, 9) if holds({"turn": n}, prompt)),
    }
    assert found == expected


def test_a_failed_tool_is_told_by_messages_only() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True}

    prompt = ask_messages([{"role": "user", "content": [result]}])

    assert holds({"tool_result": {"error": True}}, prompt)
    assert verdict({"tool_result": {"error": False}}, prompt) == (
        "the tool failed, expected the opposite"
    )


def test_an_api_that_does_not_tell_that_a_tool_failed_is_named() -> None:
    in_chat = ask_chat([{"role": "tool", "tool_call_id": "t", "content": "no"}])
    in_messages = of_tool("no")

    assert verdict({"tool_result": {"error": True}}, in_chat) == UNTOLD_IN_CHAT
    assert verdict({"tool_result": {"error": True}}, ask_responses([OUTPUT])) == UNTOLD_IN_RESPONSES
    assert verdict({"tool_result": {"error": True}}, in_messages) == (
        "the tool succeeded, expected the opposite"
    )
    for prompt in (in_chat, ask_responses([OUTPUT]), in_messages):
        assert holds({"tool_result": {"error": False}}, prompt)


def test_all_conditions_on_a_result_are_about_the_same_result() -> None:
    results = [
        {"type": "tool_result", "tool_use_id": call_id, "content": text}
        for call_id, text in (("one", "1"), ("two", "2"))
    ]
    prompt = ask_messages([{"role": "user", "content": results}])

    assert holds({"tool_result": {"call_id": "two", "text": "2"}}, prompt)
    assert not holds({"tool_result": {"call_id": "one", "text": "2"}}, prompt)


def test_the_input_of_embeddings_is_what_the_user_says() -> None:
    assert holds({"user": {"contains": "cat"}, "turn": 1}, ask_embeddings(["a cat", "a dog"]))


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("one", True),
        ("two", True),
        ("one\ntwo", True),
        ("onetwo", False),
        ({"contains": "e\nt"}, True),
        ({"starts_with": "one", "ends_with": "two"}, True),
        ({"starts_with": "two", "ends_with": "one"}, False),
        ({"exact": "ONE", "ignore_case": True}, True),
        ({"exact": "ONE"}, False),
        ({"regex": "^t.o$"}, True),
        ({"regex": "T.O", "ignore_case": True}, True),
        (["three", {"contains": "w"}], True),
        (["three", "four"], False),
    ],
)
def test_a_text_is_so_if_a_part_is_so_or_all_of_them_joined(wanted: Any, expected: bool) -> None:
    parts = [{"type": "text", "text": text} for text in ("one", "two")]

    assert holds({"user": wanted}, ask_chat([{"role": "user", "content": parts}])) is expected


def test_case_is_folded_as_unicode_does() -> None:
    prompt = ask_chat([{"role": "user", "content": "STRASSE"}])

    assert holds({"user": {"contains": "straße", "ignore_case": True}}, prompt)


# --- what cannot be decided -----------------------------------------------------------------------


def chained(value: Any, earlier: Earlier | None = None) -> Prompt:
    prompt = ask_responses(value, previous_response_id="resp_1")
    prompt.earlier = earlier
    return prompt


OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "15 degrees"}
UNKNOWN = "the request continues a conversation that is not known here"


@pytest.mark.parametrize(
    ("match", "value", "reason"),
    [
        ({"turn": 2}, "hi", f"turn: {UNKNOWN}"),
        ({"step": 2}, [OUTPUT], f"step: {UNKNOWN}"),
        ({"last_user": "hi"}, [OUTPUT], f"last_user: {UNKNOWN}"),
        (
            {"tool_result": {"name": "f"}},
            [OUTPUT],
            f"the tool of the result 'c1' is not known: {UNKNOWN}",
        ),
        (
            {"any_message": "bye"},
            "hi",
            "no message is 'bye' in this request; earlier messages are not in it",
        ),
    ],
)
def test_what_depends_on_an_unknown_conversation_does_not_hold_nor_does_its_negation(
    match: Match, value: Any, reason: str
) -> None:
    assert verdict(match, chained(value)) == reason
    assert verdict({"not": match}, chained(value)) == reason
    assert verdict({"not": {"any_of": [match, {"model": "x"}]}}, chained(value)) is not None


LONG = "x" * 1_000_001 + "needle"
NEEDLE = {"regex": "needle"}
CUT = "; only the first 1,000,000 characters of a text are looked at"


def of_tool(text: str, **members: Any) -> Prompt:
    result = {"type": "tool_result", "tool_use_id": "c1", "content": text}
    return ask_messages([{"role": "user", "content": [result | members]}])


@pytest.mark.parametrize(
    ("match", "prompt", "beginning"),
    [
        ({"user": NEEDLE}, ask_chat([user(LONG)]), "the user's last turn is 'xxx"),
        ({"user": ["hay", NEEDLE]}, ask_chat([user(LONG)]), "the user's last turn is 'xxx"),
        (
            {"user": [*(f"hay {at}" for at in range(200)), NEEDLE]},
            ask_chat([user(LONG)]),
            "the user's last turn is 'xxx",
        ),
        (
            {"user": {"contains": "edle", "regex": "needle"}},
            ask_chat([user(LONG)]),
            "the user's last turn is 'xxx",
        ),
        ({"system": NEEDLE}, ask_chat([{"role": "system", "content": LONG}]), "the instruction is"),
        ({"any_message": NEEDLE}, ask_chat([user(LONG)]), "no message is a text that matches"),
        ({"any_message": NEEDLE}, ask_chat([user(LONG), user("hi")]), "no message is a text that"),
        ({"tool_result": NEEDLE}, of_tool(LONG), "the tool result is 'xxx"),
        ({"tool_result": {"call_id": NEEDLE}}, of_tool("", tool_use_id=LONG), "the result is of"),
        (
            {"tool_result": {"call_id": NEEDLE, "text": "hi"}},
            of_tool("hi", tool_use_id=LONG),
            "the result is of the call 'xxx",
        ),
        ({"body": {"$.messages[0].content": NEEDLE}}, ask_chat([user(LONG)]), "$.messages[0].con"),
        (
            {"body": {"$.messages[0].content": {"any": [1, NEEDLE]}}},
            ask_chat([user(LONG)]),
            "$.messages[0].content is ",
        ),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_an_expression_beyond_what_is_looked_at_does_not_hold_nor_does_its_negation(
    match: Match, prompt: Prompt, beginning: str
) -> None:
    rules = [compile_rule(CHAT, each) for each in (match, {"not": match})]

    for each in rules:
        difference = each.difference(prompt, {}, closer_than=0)
        assert difference is not None
        assert difference.reason().startswith(beginning)
        assert difference.reason().endswith(CUT)
        index = RuleIndex([each])
        other = replace(prompt, verdicts=None, _readings=None)
        miss = finish(index.search_nearest_miss(other, {}, Effort()))
        assert miss is not None
        assert miss == index.nearest_miss(prompt, {})
        assert CUT in miss.reason


@pytest.mark.parametrize(
    "match",
    [
        {"user": {"regex": "^x+"}},
        {"user": {"regex": "needle", "contains": "hay"}},
        {"user": [NEEDLE, {"ends_with": "needle"}]},
        {"body": {"$.messages[0].content": {"regex": "needle", "contains": "hay"}}},
        {"body": {"$.messages[0].content": {"any": [NEEDLE, {"contains": "x"}]}}},
    ],
)
def test_what_another_test_of_a_long_text_decides_is_decided(match: Match) -> None:
    prompt = ask_chat([user(LONG)])

    assert holds(match, prompt) is not holds({"not": match}, prompt)


@settings(max_examples=500)
@given(st.lists(matches(2, body=bodies()), max_size=8), conversations(), st.sampled_from(ASK))
def test_what_is_decided_by_a_part_of_the_texts_is_so_of_all(
    wanted: list[Match], conversation: Conversation, ask: Any
) -> None:
    prompt = ask(conversation)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockllm.matching.expressions.MAX_TEXT", 2)
        rules = [compile_rule(CHAT, match, at) for at, match in enumerate(wanted)]
        check_index(rules, prompt, {})

    for match, rule in zip(wanted, rules, strict=True):
        whole = compile_rule(CHAT, match).difference(prompt, {})
        partly = rule.difference(prompt, {})
        assert partly is not None or whole is None


def test_what_does_not_depend_on_it_is_decided() -> None:
    assert holds({"user": "hi", "step": 1}, chained("hi"))
    assert holds({"tool_result": "15 degrees"}, chained([OUTPUT]))
    assert holds({"not": {"all_of": [{"turn": 2}, {"model": "x"}]}}, chained("hi"))


def test_a_known_conversation_decides() -> None:
    earlier = Earlier(
        answers=3, step=1, last_user=("weather?",), calls=(ToolCall("c1", "get_weather"),)
    )
    prompt = chained([OUTPUT], earlier)

    assert holds({"turn": 4, "step": 2, "last_user": "weather?"}, prompt)
    assert holds({"tool_result": {"name": "get_weather"}}, prompt)
    assert RuleIndex([compile_rule(RESPONSES, {"turn": 4})]).find(prompt, {}) is not None


# --- reasons --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        (
            {"user": "weather"},
            (
                "the user's last turn is 'weather in Paris?', expected 'weather'; "
                'write {"contains": "..."} to find it within a text'
            ),
        ),
        (
            {"user": {"starts_with": "Rain"}},
            "the user's last turn is 'weather in Paris?', expected a text that starts with 'Rain'",
        ),
        ({"tool_result": "x"}, "the last turn has no tool result"),
        ({"system": "x"}, "there are no instructions, expected 'x'"),
        ({"model": ["a", "b"]}, "the model is 'm', expected one of: 'a'; 'b'"),
        ({"tools": ["f"]}, "no tools are offered, expected 'f'"),
        ({"tools": {"any": ["f", "g"]}}, "no tools are offered, expected one of 'f', 'g'"),
        ({"schema": "x"}, "no schema is asked for and no tool is forced, expected 'x'"),
        ({"turn": 2}, "turn is 1, expected 2"),
        ({"step": {"at_least": 2}}, "step is 1, expected at least 2"),
        ({"stream": True}, "no stream is asked for"),
        ({"body": {"$.model": "x"}}, '$.model is "m", expected "x"'),
        ({"body": {"$.seed": {"exists": True}}}, "$.seed is missing, expected any value"),
        ({"any_message": {"role": "tool"}}, "no message of the tool"),
        ({"not": {"model": "m"}}, 'what must not hold does: {"model":"m"}'),
        (
            {"any_of": [{"turn": 2}, {"model": "x"}]},
            ("none of 2 alternatives holds; the nearest: turn is 1, expected 2"),
        ),
    ],
)
def test_a_condition_that_does_not_hold_says_what_was_found(match: Match, reason: str) -> None:
    assert verdict(match, ask_chat([ASKED])) == reason


@pytest.mark.parametrize(
    ("names", "match", "reason"),
    [
        (["h"], {"tools": {"any": ["f", "g"]}}, "only 'h' is offered, expected one of 'f', 'g'"),
        (["h", "i"], {"tools": {"any": ["f"]}}, "only 'h', 'i' are offered, expected one of 'f'"),
        (["h"], {"tools": []}, "'h' is offered, expected no tools"),
        (["h", "i"], {"tools": []}, "'h', 'i' are offered, expected no tools"),
    ],
)
def test_the_tools_that_are_offered_are_named(names: list[str], match: Match, reason: str) -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in names]

    assert verdict(match, ask_chat([ASKED], tools=tools)) == reason


def test_a_result_hides_the_user_and_says_so() -> None:
    assert verdict({"user": "x"}, ask_chat([ASKED, CALLED, RESULT])) == (
        "the last turn has a tool result; 'tool_result' and 'last_user' are for those, expected 'x'"
    )


# --- what readers overlook ------------------------------------------------------------------------

TALK = [
    {"role": "system", "content": "Be kind"},
    {"role": "user", "content": "caf\u00e9 please"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "15 degrees"},
]


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        (
            {"system": {"contains": "be KIND"}},
            (
                "the instruction is 'Be kind', expected a text that contains 'be KIND'; "
                'it differs in case only: write "ignore_case": true'
            ),
        ),
        (
            {"last_user": {"starts_with": "cafe\u0301"}},
            (
                "the user's last message is 'caf\u00e9 please', expected a text that starts with "
                "'cafe\u0301'; it differs in look-alike characters only: "
                "expected 'e\u0301' (U+0065 U+0301), found '\u00e9' (U+00E9)"
            ),
        ),
        (
            {"tool_result": {"contains": "15 Degrees"}},
            (
                "the tool result is '15 degrees', expected a text that contains '15 Degrees'; "
                'it differs in case only: write "ignore_case": true'
            ),
        ),
        (
            {"any_message": {"role": "user", "text": {"contains": "Please"}}},
            (
                "no message of the user is a text that contains 'Please'; "
                'it differs in case only: write "ignore_case": true'
            ),
        ),
        (
            {"body": {"$.messages[0].content": {"any": ["x", {"contains": "KIND"}]}}},
            (
                '$.messages[0].content is "Be kind", expected one of: "x"; a text that contains '
                "'KIND'; it differs in case only: write \"ignore_case\": true"
            ),
        ),
    ],
)
def test_what_readers_overlook_is_told_of_every_text(match: Match, reason: str) -> None:
    assert verdict(match, ask_chat(TALK)) == reason


@pytest.mark.parametrize(
    ("far", "near"),
    [
        ({"last_user": {"contains": "caf\u00e9 plX"}}, {"last_user": {"contains": "CAFE"}}),
        ({"tool_result": {"contains": "15 degX"}}, {"tool_result": {"contains": "DEG"}}),
        (
            {"last_user": {"contains": "please"}, "system": {"contains": "Be kinX"}},
            {"last_user": {"contains": "please"}, "system": {"contains": "KIND"}},
        ),
    ],
)
def test_a_text_that_differs_in_case_only_is_the_nearest(far: Match, near: Match) -> None:
    rules = [compile_rule(CHAT, far, 0), compile_rule(CHAT, near, 1)]

    miss = RuleIndex(rules).nearest_miss(ask_chat(TALK), {})

    assert miss is not None
    assert miss.rule is rules[1]

"""The deltas of a chat message, without the chunks around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockllm.providers.openai.chat.deltas import (
    AUDIO_PIECE,
    Piece,
    in_order,
    pieces,
    tokens_without_text,
)
from mockllm.wire import chunking
from mockllm.wire.chunking import Chunk

Json = dict[str, Any]

FAMILY = "👨‍👩‍👧"
SILENT: dict[str, Any] = {"content": None, "refusal": None}


def after_opening(message: Mapping[str, Any], chunk: Chunk = "word") -> list[Json]:
    """The deltas of a message without logprobs, except the opening."""
    _, *rest = pieces(message, None, chunk)
    assert all(piece.logprobs is None for piece in rest)
    return [piece.delta for piece in rest]


def spoken(text: str, tokens: list[Any], chunk: Chunk = "word") -> list[tuple[str, Any]]:
    """The pieces of a content with tokens: each text and its tokens, None if it has no logprobs."""
    _, *rest = pieces({"content": text}, {"content": tokens}, chunk)
    return [
        (piece.delta["content"], None if piece.logprobs is None else piece.logprobs["content"])
        for piece in rest
    ]


def token(text: str) -> Json:
    return {"token": text, "bytes": list(text.encode())}


def raw(*numbers: int) -> Json:
    """A token that is no text by itself."""
    return {"token": "\\x", "bytes": list(numbers)}


# --- opening -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "opening"),
    [
        ({}, {"role": None, "content": None, "refusal": None}),
        ({"role": "assistant"}, {"role": "assistant", "content": None, "refusal": None}),
        (
            {"role": "assistant", "content": "", "refusal": None},
            {"role": "assistant", "content": "", "refusal": None},
        ),
        ({"content": "hi", "refusal": "no"}, {"role": None, "content": "", "refusal": ""}),
        ({"content": ["hi"], "refusal": 5}, {"role": None, "content": None, "refusal": None}),
    ],
)
def test_an_opening_has_the_role_and_an_empty_string_for_each_text(
    message: Json, opening: Json
) -> None:
    assert next(pieces(message, None, "word")) == Piece(opening)


@pytest.mark.parametrize(
    "message",
    [{}, SILENT, {"content": ""}, {"tool_calls": []}, {"annotations": []}, {"audio": None}],
)
def test_a_message_without_anything_to_say_is_only_an_opening(message: Json) -> None:
    assert after_opening({"role": "assistant", **message}) == []


def test_members_of_no_known_kind_follow_the_opening_in_one_delta() -> None:
    message: Json = {"extra": None, "role": "assistant", "content": "a", "images": [{}]}

    assert after_opening(message) == [{"extra": None, "images": [{}]}, {"content": "a"}]


@pytest.mark.parametrize(
    "name", ["reasoning_content", "reasoning", "thinking", "thought", "x_unheard_of"]
)
def test_texts_that_other_services_add_come_in_pieces_before_the_content(name: str) -> None:
    message = {"content": "a b", "extra": 5, name: "let me see"}

    assert after_opening(message) == [
        {"extra": 5},
        *({name: text} for text in ("let", " me", " see")),
        *({"content": text} for text in ("a", " b")),
    ]


@pytest.mark.parametrize("name", ["id", "name", "type", "message_id"])
def test_names_and_ids_are_sent_whole(name: str) -> None:
    assert after_opening({name: "a long name of it"}) == [{name: "a long name of it"}]


def test_an_empty_text_of_another_service_is_sent_too() -> None:
    assert after_opening({"reasoning_content": ""}) == [{"reasoning_content": ""}]


def test_numbered_reasoning_details_come_in_pieces() -> None:
    text = {"type": "reasoning.text", "text": "let me", "signature": "s", "index": 0}
    sealed = {"type": "reasoning.encrypted", "data": "a b", "index": 1}

    assert after_opening({"reasoning_details": [text, sealed]}) == [
        {"reasoning_details": [part]}
        for part in (
            text | {"text": ""},
            {"type": "reasoning.text", "index": 0, "text": "let"},
            {"type": "reasoning.text", "index": 0, "text": " me"},
            sealed,
        )
    ]


@pytest.mark.parametrize(
    "details",
    [
        [{"type": "reasoning.text", "text": "let me"}],  # clients join entries by their index
        [{"text": "let me", "index": 1}],
        [{"data": "let me", "index": 0}],
        ["let me"],
        [],
    ],
)
def test_lists_that_clients_cannot_join_are_sent_whole(details: Any) -> None:
    assert after_opening({"reasoning_details": details}) == [{"reasoning_details": details}]


def test_no_text_is_cut_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    cut: list[str] = []

    def split(text: str, chunk: Chunk) -> Iterator[str]:
        for piece in text.split(","):
            cut.append(piece)
            yield piece

    monkeypatch.setattr(chunking, "split", split)
    message = {
        "reasoning": "1,2",
        "reasoning_details": [{"text": "3,4", "index": 0}],
        "content": "5,6",
        "audio": {"transcript": "7,8"},
    }
    sent = 0
    for piece in pieces(message, None, "word"):
        sent += any(digit in str(piece.delta) for digit in "12345678")
        assert len(cut) == sent
    assert sent == 8


def test_members_are_sent_in_a_fixed_order() -> None:
    message = {
        "tool_calls": [{"type": "new"}],
        "function_call": "f",
        "audio": "a",
        "annotations": [{}],
        "refusal": "no",
        "content": "yes",
    }

    assert [name for delta in after_opening(message) for name in delta] == [
        "content",
        "refusal",
        "annotations",
        "audio",
        "function_call",
        "tool_calls",
    ]


# --- text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["content", "refusal"])
@pytest.mark.parametrize(
    ("chunk", "texts"),
    [
        ("word", ["one", " two"]),
        ("char", ["o", "n", "e", " ", "t", "w", "o"]),
        ("token", ["one", " two"]),
        (5, ["one t", "wo"]),
    ],
)
def test_a_text_is_cut_as_configured(name: str, chunk: Chunk, texts: list[str]) -> None:
    assert after_opening({name: "one two"}, chunk) == [{name: text} for text in texts]


def test_a_grapheme_is_never_cut() -> None:
    assert after_opening({"content": f"{FAMILY}🇩🇪"}, "char") == [
        {"content": FAMILY},
        {"content": "🇩🇪"},
    ]


@pytest.mark.parametrize("name", ["content", "refusal"])
@pytest.mark.parametrize("value", [0, False, ["hi"], {"text": "hi"}, []])
def test_a_text_that_is_not_a_string_is_sent_whole(name: str, value: Any) -> None:
    assert after_opening({name: value}) == [{name: value}]


# --- logprobs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("logprobs", "opening"),
    [
        (None, None),
        ({}, {}),
        ("odd", "odd"),
        ({"content": [token("a")], "refusal": None}, {"content": [], "refusal": None}),
        ({"content": 5, "refusal": [], "new": [1]}, {"content": 5, "refusal": [], "new": [1]}),
    ],
)
def test_the_logprobs_of_an_opening_have_no_tokens(logprobs: Any, opening: Any) -> None:
    assert next(pieces({"content": "a"}, logprobs, "word")).logprobs == opening


def test_each_token_is_sent_with_the_text_it_spells() -> None:
    first, second = token("Hel"), token("lo you")

    assert spoken("Hello you", [first, second]) == [("Hel", [first]), ("lo you", [second])]


def test_the_tokens_of_a_refusal_are_its_own() -> None:
    logprobs = {"content": [token("yes")], "refusal": [token("no")]}

    _, content, refusal = pieces({"content": "yes", "refusal": "no"}, logprobs, "char")

    assert content == ({"content": "yes"}, {"content": [token("yes")], "refusal": None})
    assert refusal == ({"refusal": "no"}, {"content": None, "refusal": [token("no")]})


def test_tokens_that_share_a_grapheme_are_sent_together() -> None:
    halves = [raw(0xC3), raw(0xA9)]
    joined = [token("👨‍"), token("👩‍👧")]

    assert spoken("é", halves) == [("é", halves)]
    assert spoken(f"{FAMILY}!", [*joined, token("!")]) == [(FAMILY, joined), ("!", [token("!")])]


def test_a_token_without_bytes_is_spelled_by_its_text() -> None:
    tokens = [{"token": "é", "bytes": None}, {"token": "a"}]

    assert spoken("éa", tokens) == [("é", tokens[:1]), ("a", tokens[1:])]


def test_a_token_without_text_goes_with_the_next_piece_or_the_last() -> None:
    empty, end = token(""), raw()

    assert spoken("ab", [empty, token("a"), token("b"), end]) == [
        ("a", [empty, token("a")]),
        ("b", [token("b"), end]),
    ]


@pytest.mark.parametrize(
    "tokens",
    [
        [token("one")],
        [token("one"), token(" three")],
        ["one", " two"],
        [{"token": 1}],
        [{"bytes": [256]}],
        [{"bytes": [-1]}],
        [{"bytes": "one two"}],
        [None],
    ],
)
def test_tokens_that_do_not_spell_the_text_are_sent_with_its_first_piece(tokens: list[Any]) -> None:
    assert spoken("one two", tokens) == [("one", tokens), (" two", None)]


@pytest.mark.parametrize("tokens", [None, [], "odd", {"token": "one"}])
def test_a_text_without_a_list_of_tokens_has_no_logprobs(tokens: Any) -> None:
    assert spoken("one two", tokens) == [("one", None), (" two", None)]


@given(st.lists(st.text(max_size=4), min_size=1, max_size=6))
def test_no_text_and_no_token_is_lost(texts: list[str]) -> None:
    tokens = [token(text) for text in texts]
    text = "".join(texts)

    sent = spoken(text, tokens)

    assert "".join(piece for piece, _ in sent) == text
    assert [each for _, covered in sent for each in covered] == (tokens if text else [])


@pytest.mark.parametrize(
    ("message", "logprobs", "unsent"),
    [
        ({"content": "a"}, {"content": [1]}, None),
        ({"content": "a"}, None, None),
        ({"content": None}, "odd", None),
        ({"content": None}, {"content": []}, None),
        ({"content": None}, {"content": "odd"}, None),
        ({}, {"content": [1]}, {"content": [1], "refusal": None}),
        ({"content": ""}, {"content": [1]}, {"content": [1], "refusal": None}),
        ({"content": ["a"]}, {"content": [1]}, {"content": [1], "refusal": None}),
        (
            {"content": "a", "refusal": None},
            {"content": [1], "refusal": [2]},
            {"content": None, "refusal": [2]},
        ),
    ],
)
def test_tokens_of_a_member_that_is_no_text_are_left_over(
    message: Json, logprobs: Any, unsent: Json | None
) -> None:
    assert tokens_without_text(message, logprobs) == unsent


# --- other members -------------------------------------------------------------------------------


@pytest.mark.parametrize("annotations", [[{"type": "url_citation"}, {"type": "x"}], {}, "odd", 0])
def test_annotations_are_sent_at_once(annotations: Any) -> None:
    assert after_opening({"annotations": annotations, "content": "a"}) == [
        {"content": "a"},
        {"annotations": annotations},
    ]


def test_audio_is_id_transcript_data_and_expiry() -> None:
    audio = {"data": "AAAA", "expires_at": 9, "transcript": "hi there", "id": "audio_1"}

    assert after_opening({"audio": audio}) == [
        {"audio": {"id": "audio_1"}},
        {"audio": {"transcript": "hi"}},
        {"audio": {"transcript": " there"}},
        {"audio": {"data": "AAAA"}},
        {"audio": {"expires_at": 9}},
    ]


def test_audio_data_is_cut_where_base64_may_be() -> None:
    data = "A" * (AUDIO_PIECE + 4)

    assert AUDIO_PIECE % 4 == 0
    assert after_opening({"audio": {"data": data}}) == [
        {"audio": {"data": "A" * AUDIO_PIECE}},
        {"audio": {"data": "AAAA"}},
    ]


@pytest.mark.parametrize(
    "audio", [{"id": "a", "data": "", "transcript": 5}, {"data": None}, {"new": 1}, "odd", []]
)
def test_audio_without_text_is_sent_whole(audio: Any) -> None:
    assert after_opening({"audio": audio}) == [{"audio": audio}]


def test_empty_audio_is_not_sent() -> None:
    assert after_opening({"audio": {}}) == []


def test_a_function_call_is_its_name_then_its_arguments() -> None:
    call = {"arguments": '{"a": 1}', "name": "f"}

    assert after_opening({"function_call": call}) == [
        {"function_call": {"arguments": "", "name": "f"}},
        {"function_call": {"arguments": '{"a":'}},
        {"function_call": {"arguments": " 1}"}},
    ]


@pytest.mark.parametrize("call", ["odd", [], {}, {"name": "f"}, {"name": "f", "arguments": {}}])
def test_a_function_call_without_text_arguments_is_sent_whole(call: Any) -> None:
    assert after_opening({"function_call": call}) == [{"function_call": call}]


# --- tool calls ----------------------------------------------------------------------------------


def test_tool_calls_are_sent_one_after_the_other_numbered_from_0() -> None:
    calls = [
        {
            "function": {"name": "f", "arguments": "{} {}"},
            "type": "function",
            "id": "1",
            "index": 7,
        },
        {"id": "2", "type": "function", "function": {"name": "é", "arguments": ""}},
    ]

    assert after_opening({"tool_calls": calls}) == [
        {
            "tool_calls": [
                {
                    "index": 0,
                    "id": "1",
                    "type": "function",
                    "function": {"name": "f", "arguments": ""},
                }
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": " {}"}}]},
        {
            "tool_calls": [
                {
                    "index": 1,
                    "id": "2",
                    "type": "function",
                    "function": {"name": "é", "arguments": ""},
                }
            ]
        },
    ]


def test_a_tool_call_begins_with_index_id_and_type() -> None:
    call = {"new": 1, "function": {"name": "f"}, "type": "function", "id": "1"}

    (delta,) = after_opening({"tool_calls": [call]})

    assert list(delta["tool_calls"][0]) == ["index", "id", "type", "new", "function"]


def test_a_custom_call_is_sent_without_its_type() -> None:
    call = {"id": "1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}

    assert after_opening({"tool_calls": [call]}) == [
        {"tool_calls": [{"index": 0, "id": "1", "custom": {"name": "sql", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "SELECT"}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": " 1"}}]},
    ]


@pytest.mark.parametrize(
    "call",
    [
        {},
        {"id": "1"},
        {"type": "new", "function": {"arguments": "a b"}},
        {"type": "function", "function": "f"},
        {"type": "custom", "function": {"arguments": "a b"}},
        {"function": {"arguments": "a b"}},
    ],
)
def test_a_tool_call_of_another_kind_is_sent_whole(call: Json) -> None:
    assert after_opening({"tool_calls": [call]}) == [{"tool_calls": [{"index": 0, **call}]}]


@pytest.mark.parametrize("calls", ["odd", 1, {}, [None], [{"id": "1"}, "odd"]])
def test_tool_calls_that_are_not_a_list_of_objects_are_sent_whole(calls: Any) -> None:
    assert after_opening({"tool_calls": calls}) == [{"tool_calls": calls}]


def test_a_message_is_not_changed_by_streaming_it() -> None:
    call = {"id": "1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    message = {"content": "a", "tool_calls": [call], "audio": {"data": "AAAA"}}
    before = repr(message)

    list(pieces(message, {"content": [token("a")]}, "word"))

    assert repr(message) == before


# --- in_order ------------------------------------------------------------------------------------


def test_named_members_come_first_and_the_others_keep_their_order() -> None:
    ordered = in_order({"x": 1, "b": 2, "y": 3, "a": 4}, ("a", "b", "c"))

    assert list(ordered.items()) == [("a", 4), ("b", 2), ("x", 1), ("y", 3)]

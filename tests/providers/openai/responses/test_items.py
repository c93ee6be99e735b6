from __future__ import annotations

from typing import Any

import pytest

from mockllm.providers.openai.responses.items import events

Event = dict[str, Any]


def filling(item: Any) -> list[Event]:
    """The events between the first and the last of an item."""
    return list(events(item, 0, "word"))[1:-1]


def types(found: list[Event]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in found]


@pytest.mark.parametrize("item", [None, 1, "text", [], {}, {"type": 1}, {"type": "new", "a": [1]}])
def test_an_item_of_an_unknown_kind_is_added_complete(item: Any) -> None:
    assert list(events(item, 3, "word")) == [
        {"type": "response.output_item.added", "output_index": 3, "item": item},
        {"type": "response.output_item.done", "output_index": 3, "item": item},
    ]


def test_an_item_is_added_with_its_own_members_only() -> None:
    item = {"type": "function_call", "arguments": "{}", "call_id": "c"}

    added = next(events(item, 0, "word"))

    assert added["item"] == {"type": "function_call", "arguments": "", "call_id": "c"}


@pytest.mark.parametrize("arguments", [None, 1, ["{}"], {"a": 1}])
def test_a_member_of_another_type_is_added_complete(arguments: Any) -> None:
    item = {"type": "function_call", "arguments": arguments}

    added, done = events(item, 0, "word")

    assert added["item"] == done["item"] == item


@pytest.mark.parametrize("item", [{"type": "message", "content": 1}, {"type": "reasoning"}])
def test_parts_that_are_not_a_list_are_not_streamed(item: Event) -> None:
    assert filling(item) == []


def test_a_part_of_an_unknown_kind_is_added_complete() -> None:
    at = {"item_id": "m", "output_index": 0, "content_index": 0}

    assert filling({"type": "message", "id": "m", "content": ["strange"]}) == [
        {"type": "response.content_part.added", **at, "part": "strange"},
        {"type": "response.content_part.done", **at, "part": "strange"},
    ]


def test_an_empty_text_is_done_without_a_delta() -> None:
    item = {"type": "custom_tool_call", "id": "c", "input": ""}

    assert filling(item) == [
        {
            "type": "response.custom_tool_call_input.done",
            "item_id": "c",
            "output_index": 0,
            "input": "",
        }
    ]


def test_only_the_last_event_of_a_function_call_names_the_function() -> None:
    item = {"type": "function_call", "name": "f", "arguments": "a b"}

    assert [event.get("name") for event in filling(item)] == [None, None, "f"]


def test_the_summaries_of_reasoning_come_before_its_text() -> None:
    item = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "short"}],
        "content": [{"type": "reasoning_text", "text": "long"}],
    }

    assert types(filling(item)) == [
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
    ]


def test_a_command_that_is_not_a_string_has_no_deltas() -> None:
    item = {"type": "shell_call", "action": {"commands": ["ls", 7]}}

    assert [(event["command_index"], event.get("command")) for event in filling(item)] == [
        (0, ""),
        (0, None),
        (0, "ls"),
        (1, 7),
    ]


def test_partial_images_have_the_attributes_of_their_image() -> None:
    item = {
        "type": "image_generation_call",
        "status": "completed",
        "partial_images": ["aQ==", "ag=="],
        "size": "1024x1024",
    }

    found = filling(item)

    assert types(found) == [
        f"image_generation_call.{phase}"
        for phase in ("in_progress", "generating", "partial_image", "partial_image", "completed")
    ]
    assert [event.get("partial_image_index") for event in found] == [None, None, 0, 1, None]
    assert [event.get("partial_image_b64") for event in found[2:4]] == ["aQ==", "ag=="]
    assert [event.get("size") for event in found[2:4]] == ["1024x1024"] * 2


def test_the_output_of_a_function_that_is_not_a_string_is_streamed_as_json() -> None:
    item = {"type": "function_call_output", "call_id": "c", "output": [{"a": "é"}]}

    done = filling(item)[-1]

    assert (done["output"], done["call_id"]) == ('[{"a":"é"}]', "c")


def test_the_streams_of_a_shell_have_deltas_of_their_own() -> None:
    item = {"type": "shell_call_output", "output": [{"stdout": "a b", "stderr": "c"}, {}]}

    found = filling(item)

    deltas = [event["delta"] for event in found if "delta" in event]
    done = [(event["command_index"], event["output"]) for event in found if "output" in event]
    assert deltas == [{"stdout": "a"}, {"stdout": " b"}, {"stderr": "c"}]
    assert done == [(0, item["output"][:1]), (1, [{}])]

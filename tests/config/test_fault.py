"""The `fault` of a mock: what can be written, and what is reported."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from pydantic import TypeAdapter, ValidationError

from mockllm import Error
from mockllm.config.fault import POINTS, AnyFaults, Fault, listed
from mockllm.config.mistakes import json_path

FAULTS: TypeAdapter[Any] = TypeAdapter(AnyFaults)

AN_OBJECT = 'expected an object such as {"end": "cut"}, or a list of objects'


def mistake_of(fault: Any) -> str:
    """The only mistake in a `fault`, with its path in it."""
    with pytest.raises(ValidationError) as caught:
        FAULTS.validate_python(fault)
    (detail,) = caught.value.errors()
    path = json_path(list(detail["loc"]))
    return f"{path}: {detail['msg']}" if path else detail["msg"]


@pytest.mark.parametrize("end", ["cut", "reset", "hang"])
def test_an_answer_ends_before_its_head_by_default(end: str) -> None:
    (fault,) = listed(FAULTS.validate_python({"end": end}))

    assert (fault.end, fault.after, fault.chance) == (end, None, 1.0)


@pytest.mark.parametrize("point", POINTS)
def test_a_place_is_a_word(point: str) -> None:
    assert Fault.model_validate({"end": "clean", "after": point}).after == point


@pytest.mark.parametrize(
    "place",
    [
        {"tokens": 5},
        {"time": "2s"},
        {"bytes": 100},
        {"events": 3},
        {"event": "message_start"},
        {"event": "response.output_text.delta", "nth": 2},
    ],
)
def test_a_place_is_counted(place: dict[str, Any]) -> None:
    position = Fault.model_validate({"end": "cut", "after": place}).position

    assert position is not None
    assert position.is_of_one_api == ("tokens" not in place and "time" not in place)
    assert position.model_dump(by_alias=True, exclude_unset=True) == (
        {"time": 2.0} if "time" in place else place
    )


def test_python_objects_and_dicts_make_the_same_fault() -> None:
    written = {"error": "overloaded", "after": {"tokens": 5}, "chance": 0.5}

    assert Fault(error=Error(word="overloaded"), after={"tokens": 5}, chance=0.5) == (
        Fault.model_validate(written)
    )


def test_a_list_has_several_faults() -> None:
    written = [{"pause": "30s", "after": "first_token"}, {"end": "cut", "after": {"tokens": 5}}]

    pause, end = listed(FAULTS.validate_python(written))

    assert (pause.seconds, end.end) == (30.0, "cut")
    assert listed(None) == ()


def test_an_answer_is_held_at_a_gate() -> None:
    (fault,) = listed(FAULTS.validate_python({"hold": "gate-1", "after": {"tokens": 5}}))

    assert fault.hold == "gate-1"


@pytest.mark.parametrize(
    ("send", "sent"),
    [("data: {é\n\n", "data: {é\n\n".encode()), ({"hex": "ff 00"}, b"\xff\0"), (b"\xff", b"\xff")],
)
def test_what_is_sent_is_a_text_or_bytes(send: Any, sent: bytes) -> None:
    assert Fault(send=send, after="head").sent == sent


def test_bytes_are_written_as_they_are_read() -> None:
    fault = Fault(send={"hex": "ff 00"})

    written = fault.model_dump(mode="json", exclude_unset=True)

    assert written == {"send": {"hex": "ff00"}}
    assert Fault.model_validate(written) == fault


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (None, AN_OBJECT),
        ("cut", AN_OBJECT),
        ([], "List should have at least 1 item after validation, not 0"),
        (
            {},
            "expected one of 'end', 'pause', 'hold', 'send', 'error', found none of them",
        ),
        (
            {"end": "cut", "pause": 1},
            (
                "expected one of 'end', 'pause', 'hold', 'send', 'error', found 'end' and "
                "'pause': write a list of faults"
            ),
        ),
        (
            [{"end": "cut"}, {"end": "reset", "after": "head"}],
            "expected one 'end', found several: an answer ends once",
        ),
        (
            {"end": "clean"},
            ('"clean" ends a body: expected \'after\' beside it, such as "head", found nothing'),
        ),
        (
            {"hold": "a b"},
            "hold: expected the name of a gate, 1 to 128 of A-Z a-z 0-9 . _ -; found",
        ),
        ({"hold": ""}, "hold: expected the name of a gate, "),
        ({"hold": ".."}, "hold: expected the name of a gate, "),
        ({"hold": "g" * 129}, "hold: expected the name of a gate, "),
        ({"hold": 5}, "hold: Input should be a valid string"),
        (
            {"hold": "g", "pause": 1},
            "expected one of 'end', 'pause', 'hold', 'send', 'error', found",
        ),
        ({"hold": "g", "inside": True}, "expected 'end' beside 'inside', found nothing"),
        ({"pause": 1, "inside": True}, "expected 'end' beside 'inside', found nothing"),
        ({"pause": -1}, "pause: expected a number of seconds, or a text with a unit such as "),
        ({"end": "cut", "chance": 5}, "chance: Input should be less than or equal to 1"),
        ({"end": "cut", "chance": True}, "chance: Input should be a valid number"),
        ({"end": "cut", "after": 5}, 'after: expected a word or an object such as {"tokens": 5}'),
        ({"end": "cut", "after": {"tokens": 0}}, "after.tokens: Input should be greater than or "),
        (
            {"end": "cut", "after": {"tokens": 1, "bytes": 2}},
            (
                "after: expected one of 'tokens', 'time', 'bytes', 'events', 'event', found "
                "'tokens' and 'bytes'"
            ),
        ),
        (
            {"end": "cut", "after": {"tokens": 1, "nth": 2}},
            "after: expected 'event' beside 'nth', found nothing",
        ),
        (
            {"end": "clean", "after": {"time": 2}},
            '"clean" is at a place: after a time write "cut", "reset" or "hang"',
        ),
        (
            {"end": "cut", "inside": True, "after": {"time": 2}},
            "a time is inside of nothing: leave out 'inside'",
        ),
        ({"send": ""}, "send: expected something to send, found nothing"),
        ({"send": 5}, 'send: expected a text, or bytes such as {"hex": "ff 00"}'),
        (
            {"send": {"hex": "f"}},
            "send: expected pairs of hexadecimal digits, such as \"ff 00\", found 'f'",
        ),
        (
            {"send": {"hex": 3}},
            'send: expected pairs of hexadecimal digits, such as "ff 00", found 3',
        ),
        (
            {"error": {"status": 500, "body": "a"}, "after": "head"},
            "in a stream, write 'send' instead of an error's 'body'",
        ),
        *(
            (
                {"error": {"status": status}, "after": after},
                (
                    f"an error in a stream has a body, that of status {status} has none: "
                    "write another 'status', or leave out 'after'"
                ),
            )
            for status, after in [(204, "first_token"), (205, "head"), (304, {"time": 1})]
        ),
        (
            {"error": {"as": "overloaded", "retry_after": 1}, "after": "head"},
            "the head is sent when the error comes: leave out 'retry_after', or 'after'",
        ),
    ],
)
def test_a_mistake_has_its_place_and_a_remedy(fault: Any, expected: str) -> None:
    assert mistake_of(fault).startswith(expected)


@pytest.mark.parametrize(
    "fault",
    [
        {"end": "cut", "after": {"event": "message_start", "nth": 2}, "inside": True},
        {"error": {"as": "rate_limit", "retry_after": "2s"}, "chance": 0.5, "_comment": 1},
        [{"pause": "30s", "after": "first_token"}, {"send": {"hex": "ff 00"}, "after": "head"}],
        [{"hold": "a"}, {"hold": "gate-1", "after": "before_finish", "chance": 0.5}],
        [{"pause": 1, "after": {"time": 2}}, {"send": "x", "after": {"time": "3s"}}],
        {"error": "overloaded", "after": {"time": "2s"}},
        {"hold": "a b"},
        {"hold": ".."},
        {"hold": "..."},
        {"hold": "g" * 129},
        {"end": "clean", "after": {"time": 2}},
        {"send": ""},
        {"send": {"hex": "f"}},
        {"end": "gone"},
        {"end": "cut", "after": "first"},
        {"end": "cut", "after": {"tokens": 0}},
        {"end": "cut", "chance": 1.5},
        {"end": "cut", "x": 1},
        [],
        5,
    ],
)
def test_the_json_schema_accepts_what_is_loaded(fault: Any) -> None:
    try:
        FAULTS.validate_python(fault)
    except ValidationError:
        is_loaded = False
    else:
        is_loaded = True

    schema = FAULTS.json_schema()
    assert jsonschema.Draft202012Validator(schema).is_valid(fault) == is_loaded

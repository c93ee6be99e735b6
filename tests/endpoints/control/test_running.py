"""The speed of a server, and the reset of its sequences."""

from __future__ import annotations

import pytest

from tests.support.control import Begin, Controlled

CONFIG = {"mocks": [{"match": {"user": "s"}, "sequence": ["one", "two"]}]}


@pytest.fixture
def controlled(begin: Begin) -> Controlled:
    return begin(CONFIG)


def test_the_speed_is_read_and_set(controlled: Controlled) -> None:
    assert controlled.ask("GET", "speed").value == {"speed": 1.0}
    assert controlled.ask("PUT", "speed", {"speed": 10}).value == {"speed": 10.0}

    assert controlled.clock.speed == 10.0


@pytest.mark.parametrize("speed", [0, -1, 1e9, "2", True, None, b'{"speed": 1e999}'])
def test_a_wrong_speed_changes_nothing(controlled: Controlled, speed: object) -> None:
    body = speed if isinstance(speed, bytes) else {"speed": speed}

    assert controlled.ask("PUT", "speed", body).status == 400
    assert controlled.clock.speed == 1.0


def test_a_wrong_speed_is_told_once(controlled: Controlled) -> None:
    told = controlled.ask("PUT", "speed", {"speed": "fast"}).value["error"]
    assert told["message"] == "The body has mistakes: speed: expected a number, found 'fast'"


def test_a_speed_can_be_bound_to_a_version(controlled: Controlled) -> None:
    seen = controlled.ask("GET", "speed").headers["etag"]
    assert controlled.ask("PUT", "speed", {"speed": 2}, headers={"if-match": seen}).status == 200

    told = controlled.ask("PUT", "speed", {"speed": 3}, headers={"if-match": seen})

    assert (told.status, controlled.clock.speed) == (412, 2.0)


def test_sequences_begin_anew_in_a_session_or_in_all(controlled: Controlled) -> None:
    for session in ("a", "b", None):
        assert controlled.text("s", session=session) == "one"
    token = controlled.access.token_of("a")

    assert controlled.ask("POST", "reset", {}, token=token).status == 204
    assert [controlled.text("s", session=each) for each in ("a", "b")] == ["one", "two"]
    assert controlled.ask("POST", "reset").status == 204
    assert [controlled.text("s", session=each) for each in ("a", "b", None)] == ["one"] * 3
    refused = controlled.ask("POST", "reset", {"session": "a"})
    assert refused.problems == ["session: unknown key, expected no key"]

"""The member ``session``: its two forms, and mistakes in them."""

from __future__ import annotations

from typing import Any

import pytest

from mockllm import Config, ConfigError, SessionHeader
from mockllm.engine.loading import load
from mockllm.state.session_names import NO_SETTING, SessionSetting


@pytest.mark.parametrize(
    ("written", "setting"),
    [
        (None, NO_SETTING),
        ("credential", SessionSetting(by_credential=True)),
        ({"header": "X-Test-Id"}, SessionSetting(header=b"x-test-id")),
        ({"header": "a", "_comment": "ours"}, SessionSetting(header=b"a")),
        (SessionHeader(header="A"), SessionSetting(header=b"a")),
    ],
)
def test_the_session_is_named_by_a_header_or_the_credential(
    written: Any, setting: SessionSetting
) -> None:
    assert load(Config(session=written)).session == setting


FORMS = "expected \"credential\" or an object with the one key 'header'"


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("header", f"{FORMS}, found 'header'"),
        (3, f"{FORMS}, found 3"),
        ({}, f"{FORMS}, found an empty one"),
        ({"headr": "x"}, f"{FORMS}, found one with 'headr'"),
        ({"header": "x", "name": "y"}, f"{FORMS}, found one with 'header', 'name'"),
        ({"header": 3}, "header: expected a string, found 3"),
        ({"header": {"a": 1}}, "header: expected a string, found an object"),
        ({"header": "a b"}, "header: expected the name of a header, found 'a b'"),
        (
            {"header": "Authorization"},
            (
                'header: expected a header without credentials; "session": "credential" makes one '
                "session of each API key, found 'Authorization'"
            ),
        ),
    ],
)
def test_a_mistake_is_told_once(written: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict({"session": written}, file="a.json")

    assert [str(problem) for problem in caught.value.problems] == [f"a.json: session: {told}"]


def test_a_header_written_in_python_is_checked_too() -> None:
    with pytest.raises(ConfigError, match="expected a header without credentials"):
        SessionHeader(header="x-api-key")

"""An engine is built from any source of a configuration, and overrides win over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mockllm import Config, ConfigError
from mockllm.engine.building import ConfigSource, build_engine
from tests.support.served import chat_mock, chat_saying

DATA: dict[str, Any] = {"openai": [chat_mock("hi", chat_saying("ho"))]}
STRANGE: dict[str, Any] = {"openai": [chat_mock("hi", {"created": "now"})]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mocks.json"
    path.write_text(json.dumps(DATA))
    return path


@pytest.mark.parametrize("source", [DATA, Config.from_dict(DATA)], ids=["dict", "Config"])
def test_an_engine_is_built_from_a_value(source: ConfigSource) -> None:
    assert build_engine(source).counts["openai"] == 1


def test_an_engine_is_built_from_paths(file: Path) -> None:
    sources: list[str | Path | list[Path]] = [file, str(file), file.parent, [file, file]]

    counts = [build_engine(source).counts["openai"] for source in sources]

    assert counts == [1, 1, 1, 2]


@pytest.mark.parametrize("name", ["require_auth", "cors"])
@pytest.mark.parametrize(
    ("configured", "override", "expected"),
    [
        (True, None, True),
        (False, None, False),
        (True, False, False),
        (False, True, True),
    ],
)
def test_an_override_wins_unless_it_is_none(
    name: str, configured: bool, override: bool | None, expected: bool
) -> None:
    overrides: dict[str, Any] = {name: override}

    engine = build_engine({name: configured}, **overrides)

    found = {"require_auth": engine.require_auth, "cors": engine.cors.allowed}
    assert found[name] is expected


def test_warnings_are_kept_unless_the_engine_is_strict() -> None:
    assert build_engine(STRANGE).warnings

    with pytest.raises(ConfigError):
        build_engine(STRANGE, strict_config=True)

"""An engine is built from any source of a configuration, and overrides win over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mockllm import Config, ConfigError
from mockllm.bounded_cache import BoundedCache
from mockllm.config.latency import read_latency
from mockllm.engine import building
from mockllm.engine.building import MAX_SOURCE, ConfigSource, build_engine
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


# --- What is kept of a source ---------------------------------------------------------------------


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> BoundedCache[Any, Any]:
    cache = BoundedCache[Any, Any](building.MAX_KEPT)
    monkeypatch.setattr(building, "_kept", cache)
    return cache


def are_shared(one: ConfigSource, other: ConfigSource, **options: Any) -> bool:
    return build_engine(one).tables[0].index is build_engine(other, **options).tables[0].index


def test_an_equal_source_is_loaded_once(kept: BoundedCache[Any, Any], file: Path) -> None:
    assert are_shared(DATA, json.loads(json.dumps(DATA)))
    assert are_shared(file, str(file))
    assert are_shared(file.parent, file)
    assert len(kept) == 2


@pytest.mark.parametrize(
    "options",
    [
        {"require_auth": False},
        {"cors": False},
        {"strict_config": True},
        {"strict_requests": True},
        {"latency": read_latency("vllm-8b")},
    ],
)
def test_other_options_load_anew(kept: BoundedCache[Any, Any], options: dict[str, Any]) -> None:
    assert not are_shared(DATA, DATA, **options)
    assert len(kept) == 2


def test_a_source_that_has_changed_is_loaded_anew(kept: BoundedCache[Any, Any], file: Path) -> None:
    before = build_engine(file)
    file.write_text(json.dumps(DATA | {"seed": 5}))
    after = build_engine(file)

    assert (before.seed, after.seed) == (0, 5)
    file.unlink()
    with pytest.raises(ConfigError):
        build_engine(file)
    assert len(kept) == 2


def test_whoever_changes_a_dict_changes_no_other_engine(kept: BoundedCache[Any, Any]) -> None:
    mine: dict[str, Any] = json.loads(json.dumps(DATA))
    build_engine(mine)
    mine["openai"][0]["response"]["choices"][0]["message"]["content"] = "changed"

    table = build_engine(json.loads(json.dumps(DATA))).table("openai")

    assert "changed" not in repr(table.sources)
    assert "ho" in repr(table.sources)
    assert len(kept) == 1


@pytest.mark.parametrize(
    ("right", "wrong"), [({"seed": 1}, {"seed": True}), ({"seed": 1}, {"seed": 1.0})]
)
def test_values_that_are_equal_in_python_are_told_apart(
    kept: BoundedCache[Any, Any], right: dict[str, Any], wrong: dict[str, Any]
) -> None:
    assert right == wrong
    build_engine(right)
    for _ in range(2):  # an error is found each time
        with pytest.raises(ConfigError):
            build_engine(wrong)
    assert len(kept) == 1


def test_what_is_more_than_data_or_large_is_not_kept(
    kept: BoundedCache[Any, Any], tmp_path: Path
) -> None:
    large = DATA | {"models": ["m" * MAX_SOURCE]}
    file = tmp_path / "large.json"
    file.write_text(json.dumps(large))
    function = {"mocks": [{"match": {}, "reply": lambda prompt: "hi"}]}

    for source in (function, large, file, Config.from_dict(DATA), [file, tmp_path]):
        build_engine(source)

    assert len(kept) == 0

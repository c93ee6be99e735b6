"""The parsers have the options of their tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockllm.cli.limit_options import LIMIT_OPTIONS
from mockllm.cli.option_tables import CHECK_OPTIONS, SERVE_OPTIONS
from mockllm.cli.options import check_options, serve_options

OPTIONS = [option for group in SERVE_OPTIONS.values() for option in group]


def test_defaults_are_those_of_the_tables() -> None:
    options = vars(serve_options([]))

    for option in OPTIONS:
        default = getattr(option, "default", False)  # of a flag
        assert options[option.name.removeprefix("--").replace("-", "_")] == default


def test_help_lists_every_group_and_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        serve_options(["--help"])

    text = capsys.readouterr().out
    assert [title for title in (*SERVE_OPTIONS, "limits") if f"\n{title}:\n" not in text] == []
    names = [option.name for option in OPTIONS] + [each.option for each in LIMIT_OPTIONS.values()]
    assert [name for name in names if f"\n  {name}" not in text] == []


def test_config_may_be_repeated() -> None:
    options = serve_options(["--config", "a.json", "--config", "b"])

    assert options.config == [Path("a.json"), Path("b")]


def test_check_has_its_flags() -> None:
    options = vars(check_options(["a.json"]))

    assert options == {
        "files": [Path("a.json")],
        "wire": False,
        "verbose": False,
        "all": False,
        "format": "text",
    }
    assert [option.name for option in CHECK_OPTIONS] == [
        "--wire",
        "--verbose",
        "--all",
        "--format",
    ]

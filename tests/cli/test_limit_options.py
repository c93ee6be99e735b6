"""Options for the limits of a server."""

from __future__ import annotations

import asyncio
from dataclasses import fields
from pathlib import Path

import pytest

from mockllm.cli.limit_options import LIMIT_OPTIONS, size
from mockllm.cli.main import main
from mockllm.limits import Limits
from tests.support.http.messages import get
from tests.support.processes import REQUEST, ask, config, running, write


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "mocks.json", config(large=True))


def test_every_limit_has_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(LIMIT_OPTIONS) == [field.name for field in fields(Limits)]
    with pytest.raises(SystemExit):
        main(["--help"])
    usage = capsys.readouterr().out
    assert [each.option for each in LIMIT_OPTIONS.values() if each.option not in usage] == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("100", 100), ("64KiB", 65536), ("64k", 65536), ("2 MB", 2**21), ("1G", 2**30)],
)
def test_sizes_may_have_a_unit(text: str, number: int) -> None:
    assert size(text) == number


def test_the_command_enforces_its_limits(file: Path) -> None:
    with running("--config", file, "--port=0", "--max-body", "50", "--max-headers=4") as command:
        answers = [
            asyncio.run(ask(command.port, request)).status
            for request in (REQUEST, get("A: b", "C: d", "E: f", "G: h"), get("A: b"))
        ]
    assert answers == [413, 431, 200]

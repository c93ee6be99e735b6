"""The Dockerfile, as far as it can be checked without Docker."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from mockllm.cli.options import serve_options

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()


def instructions(name: str) -> list[str]:
    """The arguments of each instruction with this name."""
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_the_image_is_built_from_all_that_the_project_needs() -> None:
    copied = [source for rest in instructions("COPY") for source in rest.split()[:-1]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert all((ROOT / source).exists() for source in copied)
    assert {"pyproject.toml", "mockllm", project["readme"], *project["license-files"]} <= set(
        copied
    )
    (install,) = instructions("RUN")
    assert '"/src[all]"' in install
    assert "all" in project["optional-dependencies"]


def test_the_command_is_executed_without_a_shell_which_would_keep_signals() -> None:
    (entry,), (defaults,) = instructions("ENTRYPOINT"), instructions("CMD")
    program, *arguments = json.loads(entry)

    options = serve_options([*arguments, *json.loads(defaults)])

    assert program == "mockllm"
    assert (options.host, options.port) == ("0.0.0.0", int(instructions("EXPOSE")[0]))  # noqa: S104  # as containers need
    assert instructions("USER") == ["nobody"]

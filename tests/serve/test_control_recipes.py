"""The recipes of docs/control.md: that for a shell as a shell runs it, that for Docker as far as it
can be checked without it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mockllm.cli.options import serve_options
from mockllm.serve.controlled import TOKEN_VARIABLE
from tests.support.served import PATIENCE, occupied_port

ROOT = Path(__file__).parents[2]
RECIPE = re.compile(r"^<!-- recipe -->\n```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)

COMPOSE = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ENTRYPOINT = re.compile(r"^ENTRYPOINT (.+)$", re.MULTILINE)

needs_shell = pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl"
)


@needs_shell
def test_the_recipe_for_a_shell_works(tmp_path: Path) -> None:
    (recipe,) = RECIPE.findall((ROOT / "docs" / "control.md").read_text())
    (tmp_path / "mocks.json").write_text(json.dumps({"mocks": []}))
    command = tmp_path / "bin" / "mockllm"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mockllm "$@"\n')
    command.chmod(0o755)
    with occupied_port() as port:
        pass
    script = f"set -emu\n{recipe.replace('8000', str(port))}wait\n"
    environment = {**os.environ, "PATH": f"{command.parent}:{os.environ['PATH']}"}

    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT), "no_proxy": "*"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )

    assert '{"status":"ready"}' in done.stdout, done.stderr
    assert '"id":"added[0]","name":"ask"' in done.stdout
    assert '"content":"Sunny"' in done.stdout
    assert '"user":"How is the weather?"' in done.stdout
    assert '{"holds":true,"calls":1,"requests":1}' in done.stdout
    assert "2 requests so far:\n" in done.stdout
    assert "a-token-for-tests" not in done.stdout + done.stderr


def test_the_recipe_for_docker_starts_the_image_with_a_token_of_the_environment() -> None:
    (recipe,) = COMPOSE.findall((ROOT / "docs" / "control.md").read_text())
    service = yaml.safe_load(recipe)["services"]["mockllm"]
    (entry,) = ENTRYPOINT.findall((ROOT / service["build"]["dockerfile"]).read_text())
    _, *arguments = json.loads(entry)

    options = serve_options([*arguments, *service["command"]])

    assert (options.control, options.config) == ("token", [Path("/mocks")])
    assert service["ports"] == [f"{options.port}:{options.port}"]
    assert service["environment"] == {TOKEN_VARIABLE: f"${{{TOKEN_VARIABLE}:?}}"}

"""Signals that arrive before the command knows what it is to do, or when it has done it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import posix
from tests.support.served import PATIENCE

pytestmark = posix

STOPPED_IN_AN_IMPORT = """
import os, sys
from pathlib import Path

_, module, pipe, *sys.argv[1:] = sys.argv

class Waiting:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            Path(pipe).read_bytes()

sys.meta_path.insert(0, Waiting())
from mockllm.cli.entry import run
try:
    status = run()
except SystemExit as exc:
    status = exc.code
print("exiting", flush=True)
if sys.argv[1:] == ["--version"]:
    os.kill(os.getpid(), int(os.environ["NUMBER"]))
sys.exit(status)
"""
"""The command, which reads a pipe when it imports a module."""

STATUSES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize("module", ["mockllm.cli.main", "pydantic", "argparse", "uvloop"])
@pytest.mark.parametrize("words", [[], ["check", "mocks.json"]])
@pytest.mark.parametrize(("number", "status"), STATUSES)
def test_a_signal_during_the_imports_ends_quietly(
    module: str, words: list[str], number: int, status: int, tmp_path: Path
) -> None:
    """Reading waits for a pipe, so that the moment is not a matter of luck."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", STOPPED_IN_AN_IMPORT, module, str(pipe), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with pipe.open("w"):  # it is being read
        process.send_signal(number)
        output, _ = process.communicate(timeout=PATIENCE)

    assert (process.returncode, output) == (status, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_process_exits_changes_nothing(number: signal.Signals) -> None:
    command = [sys.executable, "-c", STOPPED_IN_AN_IMPORT, "no.module", "no pipe", "--version"]
    environment = {**os.environ, "NUMBER": str(number.value)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("exiting\n")


def test_a_signal_ignored_by_the_parent_remains_ignored(tmp_path: Path) -> None:
    """As SIGINT is by a shell for a job in the background."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-c", STOPPED_IN_AN_IMPORT, "pydantic", str(pipe), "schema"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        with pipe.open("w"):
            process.send_signal(signal.SIGINT)

        assert process.wait(3 * PATIENCE) == 0  # the SDKs are imported for the first time
    finally:
        process.kill()
        process.wait()


IMPORTING = """
import gc, sys
from mockllm.cli.entry import run

gc.callbacks.append(lambda phase, _: print("searching for garbage", phase))
sys.argv[1:] = ["--version"]
run()
"""


def test_no_garbage_is_searched_for_during_the_imports() -> None:
    """They create hundreds of thousands of objects, and each search looks at those so far."""
    command = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert "searching" not in done.stdout.split("mockllm ")[0]


def test_no_plugins_of_pydantic_are_loaded(tmp_path: Path) -> None:
    """They observe what a program validates, and may take long to import."""
    (tmp_path / "observing.py").write_text("print('loaded')\nplugin = None\n")
    metadata = tmp_path / "observing-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: observing\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[pydantic]\nobserving = observing:plugin\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "mockllm", "--version"]

    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)

    assert done.stdout.startswith("mockllm ")

"""Stores of several processes, in processes of their own where several of them are needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from mockllm.serve.shared_store import SharedStore


class FreshStores:
    """Makes empty stores, one at a time: the one before it is closed and removed."""

    def __init__(self) -> None:
        self._store: SharedStore | None = None
        self._folder: Path | None = None

    def make(self) -> SharedStore:
        """Return an empty store."""
        self.remove()
        self._folder = Path(tempfile.mkdtemp(prefix="mockllm-test-"))
        self._store = SharedStore(self._folder)
        return self._store

    def remove(self) -> None:
        """Close and remove the last store."""
        if self._store is not None and self._folder is not None:
            self._store.close()
            shutil.rmtree(self._folder)
            self._store = None


def run_in_process(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a script in a process of its own, connected by pipes."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


CLIENTS = """
import os, random, signal, sys, time
from pathlib import Path
from mockllm.serve import shared_maps
from mockllm.serve.shared_store import SharedStore
from mockllm.state.attempts import Attempt
from mockllm.state.choosing import Candidate, Chosen, Script, ScriptEntry
from mockllm.state.operations import Choose

folder, received = Path(sys.argv[1]), os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND)
places, processes, kills, seed = map(int, sys.argv[3:])
candidates = (Candidate("script", Script((ScriptEntry(places),))),)
draw = random.Random(seed)
shared_maps.MIN_COMPACTED = 2_000

def ask(client):
    store, number = SharedStore(folder), 0
    while True:
        attempt = Attempt(b"%8d%8d" % (client, number))
        (result,) = store.perform([Choose("s", candidates, attempt)], 0.0)
        if not isinstance(result, Chosen):
            os._exit(0)
        os.write(received, b"%d %d\\n" % (client, result.number))
        number += 1

def begin(client):
    pid = os.fork()
    if not pid:
        ask(client)
    return pid

running, clients = {}, iter(range(10**6))
for _ in range(processes):
    running[begin(next(clients))] = True
for _ in range(kills):
    time.sleep(draw.uniform(0.001, 0.03))
    killed = draw.choice([*running])
    os.kill(killed, signal.SIGKILL)
    os.waitpid(killed, 0)
    del running[killed]
    running[begin(next(clients))] = True
for pid in running:
    os.waitpid(pid, 0)
"""
"""Processes that ask for the places of one script and append each to a file, while some of them are
killed and replaced, and snapshots are made often: FOLDER FILE PLACES PROCESSES KILLS SEED."""


class SpreadStore:
    """The store of an app whose every question comes from another of four processes, which share
    their state in `folder`."""

    def __init__(self, folder: Path, gone: Callable[[str], None]) -> None:
        self.stores = [SharedStore(folder, gone) for _ in range(4)]
        for store in self.stores:  # whoever opens it gives the leases of this process back
            store.perform_at_once((), 0.0)
        self._turns = cycle(self.stores)

    def __getattr__(self, name: str) -> Any:
        return getattr(next(self._turns), name)

    def close(self) -> None:
        for store in self.stores:
            store.close()

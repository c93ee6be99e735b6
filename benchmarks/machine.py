"""What the kernel knows: which cores there are, what processes cost, what this machine is.

Linux only (/proc).
"""

from __future__ import annotations

import os
import platform
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

KIB = 1024

_PROC = Path("/proc")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores servers run on, and which one the load and this program run on."""

    server: int
    load: int
    spare: frozenset[int]  # beside the server's, for a server of several processes

    @classmethod
    def of_this_process(cls) -> Cores:
        """The load takes the first core, where interrupts often are; a server the last. With one
        core they share it."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[-1], cores[0], frozenset(cores[1:-1]))

    def for_workers(self, count: int) -> frozenset[int]:
        """The cores of a server of `count` processes: one for each as far as they go."""
        return frozenset({self.server, *sorted(self.spare)[: count - 1]})


def use_core(core: int) -> None:
    """Keep this process, and those it starts, on one core."""
    os.sched_setaffinity(0, {core})


def allow_open_files(wanted: int) -> bool:
    """Raise the limit of open files, for this process and those it starts, to at least `wanted`.
    Returns whether it could."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


def family(pid: int) -> list[int]:
    """`pid` and all processes below it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                parent = int(_stat(int(entry.name))[1])
            except OSError:  # it has ended since it was listed
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time, user and system, that `pid` and the processes below it have used."""
    times = (_stat(member)[11:13] for member in family(pid))
    return sum(int(user) + int(system) for user, system in times) / _TICK


def memory(pid: int) -> int:
    """Bytes that `pid` and the processes below it hold; what they share counts once (PSS)."""
    return sum(_pss(member) for member in family(pid))


def describe() -> dict[str, str | int]:
    """The machine, in words that make figures comparable."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
    }


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5)); the name before may hold blanks."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _pss(pid: int) -> int:
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * KIB
    return 0


def _cpu_model() -> str:
    for line in (_PROC / "cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()

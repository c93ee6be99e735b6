"""Reads cores, resource usage of processes and a description of the machine from the kernel.

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
    """The cores of the servers, and the core of the load generator and this program."""

    server: int
    load: int
    spare: frozenset[int]  # additional ones, for a server with several processes

    @classmethod
    def of_this_process(cls) -> Cores:
        """Divide the cores of this process. The load gets the first one, which often handles
        interrupts, the server the last. A single core is shared."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[-1], cores[0], frozenset(cores[1:-1]))

    def for_workers(self, count: int) -> frozenset[int]:
        """The cores of a server with `count` processes: one each, as far as there are enough."""
        return frozenset({self.server, *sorted(self.spare)[: count - 1]})


def use_core(core: int) -> None:
    """Pin this process, and those it starts, to one core."""
    os.sched_setaffinity(0, {core})


def allow_open_files(wanted: int) -> bool:
    """Raise the limit on open files of this process and those it starts to at least `wanted`.
    Returns False if the hard limit is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        return False
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return True


def family(pid: int) -> list[int]:
    """The process `pid` and all its descendants."""
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
    """CPU seconds, user and system, used by `pid` and its descendants."""
    times = (_stat(member)[11:13] for member in family(pid))
    return sum(int(user) + int(system) for user, system in times) / _TICK


def loop_seconds(pid: int) -> float:
    """Seconds for which the first thread of `pid` has run, in nanoseconds, where `cpu_seconds` has
    ticks (Linux, Documentation/scheduler/sched-stats.rst)."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def memory(pid: int) -> int:
    """Bytes of memory of `pid` and its descendants; shared memory is counted once (PSS)."""
    return sum(_pss(member) for member in family(pid))


def describe() -> dict[str, str | int]:
    """A description of the machine, without which figures cannot be compared."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {sys.version.split()[0]}",
    }


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (proc(5)); the name may have spaces."""
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

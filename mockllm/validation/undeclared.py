"""Differences between what services send and what the official SDKs declare.

A response that is copied from a real service should have no warnings. The tables are part of each
API; this module finds a path in them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mockllm.validation.core_schema import TAGS
from mockllm.validation.findings import Finding, Kind

ENTRY = "[]"  # in a path: any entry of a list
_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Undeclared:
    """What services send in an answer and the SDK does not declare.

    Paths are written ``choices[].message.reasoning_content``. `members` maps those of additional
    members to the services that send them; what is in them is not validated. `open_enums` are
    members whose strings are the service's own, and `left_out` are required members that services
    leave out.
    """

    members: Mapping[str, str]
    open_enums: Collection[str] = ()
    left_out: Collection[str] = ()
    _paths: Mapping[Kind, frozenset[_Path]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        paths = {
            Kind.UNKNOWN: frozenset(map(split_path, self.members)),
            Kind.WRONG: frozenset(map(split_path, self.open_enums)),
            Kind.MISSING: frozenset(map(split_path, self.left_out)),
        }
        object.__setattr__(self, "_paths", paths)

    def explains(self, finding: Finding) -> bool:
        """Return True if services send what `finding` complains about."""
        path = tuple(ENTRY if isinstance(step, int) else step for step in finding.path)
        return path in self._paths[finding.kind]

    def inside(self, place: str) -> Undeclared:
        """Return the differences of what is at `place`, such as ``choices[].message``, with paths
        that begin there."""
        start = f"{place}."

        def below(paths: Iterable[str]) -> list[str]:
            return [path.removeprefix(start) for path in paths if path.startswith(start)]

        members = {path: self.members[start + path] for path in below(self.members)}
        return Undeclared(members, below(self.open_enums), below(self.left_out))

    def renamed(self, old: str, new: str) -> Undeclared:
        """Return the same differences where paths that begin with `old` begin with `new`."""

        def rename(path: str) -> str:
            return new + path[len(old) :] if path.startswith(old) else path

        return Undeclared(
            {rename(path): services for path, services in self.members.items()},
            [*map(rename, self.open_enums)],
            [*map(rename, self.left_out)],
        )


def unless_declared(
    findings: Sequence[Finding], by_another_type: Iterable[Finding]
) -> list[Finding]:
    """Return the `findings` without undeclared members that another type does declare, whose
    findings in the same value are `by_another_type`.

    The other type does not declare a member if it finds fault with it, with what it is in, or with
    the tag by which that is recognised.
    """
    if all(finding.kind is not Kind.UNKNOWN for finding in findings):
        return [*findings]
    faulty = {finding.path for finding in by_another_type}

    def is_declared(finding: Finding) -> bool:
        around = [finding.path[:size] for size in range(len(finding.path))]
        tags = [(*place, tag) for place in around for tag in TAGS]
        return faulty.isdisjoint((finding.path, *around, *tags))

    return [each for each in findings if each.kind is not Kind.UNKNOWN or not is_declared(each)]


def split_path(path: str) -> _Path:
    """Split ``choices[].index`` into ("choices", "[]", "index")."""
    return tuple(path.replace(ENTRY, f".{ENTRY}").removeprefix(".").split("."))

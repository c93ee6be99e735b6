"""The mocks of a configuration as verification means them: one for each name, whatever its APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from mockllm.engine.added import AddedMock
from mockllm.engine.sources import MockSource, ScriptedSource
from mockllm.engine.views import Seen
from mockllm.matching.rule import Rule
from mockllm.observers.calls import Call, name_of
from mockllm.observers.verification import ScriptProgress, Subject

Answered = Callable[[str], int]
"""Returns how many answers the mock with this key (`state.keys`) has given."""


def subjects_of(seen: Iterable[Seen], answered: Answered) -> dict[str, Subject]:
    """Return the mocks that a session sees by their names; those without a name by their places."""
    rules: dict[str, list[tuple[str, Rule]]] = {}
    progress: dict[str, list[ScriptProgress]] = {}
    for api, rule, source in seen:
        name = name_of(rule)
        rules.setdefault(name, []).append((api, rule))
        if isinstance(source, ScriptedSource):
            progress.setdefault(name, []).append(_progress(source, answered))
    return {
        name: Subject(
            name, _answers(name), tuple(found), _least(progress.get(name, [])), is_named=True
        )
        for name, found in rules.items()
    }


def subject_of(added: AddedMock) -> Subject:
    """Return a mock that was added, which is told from others of its name. Its progress is that of
    its name (`subjects_of`)."""
    indices = added.indices
    rules = tuple((api, compiled.rule) for api, compiled in added.by_api.items())
    name = added.place.name or str(added.place)
    return Subject(name, lambda call: call.rule is not None and call.rule.index in indices, rules)


def _answers(name: str) -> Callable[[Call], bool]:
    return lambda call: call.rule is not None and name_of(call.rule) == name


def progress_of(
    sources: Iterable[MockSource | ScriptedSource], answered: Answered
) -> ScriptProgress | None:
    """Return the progress of a mock with several answers, which has one of `sources` in each API;
    None of any other."""
    return _least(
        [_progress(source, answered) for source in sources if isinstance(source, ScriptedSource)]
    )


def _progress(source: ScriptedSource, answered: Answered) -> ScriptProgress:
    key, script = source.candidate
    assert script is not None  # as of every mock with state
    given = answered(key)
    due = script.entry_at(given)
    needed = sum(entry.times or 1 for entry in script.entries)
    entries = len(script.entries)
    return ScriptProgress(given, None if due is None else due + 1, entries, given >= needed)


def _least(found: list[ScriptProgress]) -> ScriptProgress | None:
    """Return the progress of the mock that is furthest from its end, of several with one name."""
    return min(found, key=lambda progress: progress.used_up, default=None)

"""Selects the source of the answer to a prompt: a mock, or what answers where none matches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mockllm.engine import asking
from mockllm.engine.batches import SelectedInputs, match_inputs
from mockllm.engine.decision import Outcome
from mockllm.engine.mocks import Table
from mockllm.engine.pace import Pace
from mockllm.engine.sources import GeneratedSource, ScriptedSource, Selection, Source
from mockllm.engine.unmatched import UnmatchedError, none_left
from mockllm.errors import RequestError
from mockllm.matching.effort import Effort
from mockllm.matching.index import is_reusable
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces, finish
from mockllm.prompt import Prompt
from mockllm.state.choosing import Chosen, Exhausted, NoneLeft
from mockllm.state.operations import SessionEnded

_new = tuple.__new__  # half the time of the class's own constructor

Echo = Callable[[Prompt], str]
"""Returns the text of the answer to a prompt that no mock matches."""
Selected = Selection | SelectedInputs | UnmatchedError
"""The source of an answer; the sources of the inputs of a request, if some of these are answered by
mocks with state; or the 404 that names the closest mock."""


class Selector:
    """Selects the sources of answers: the first matching mock, else the echo or the generator of
    the API. Pure: renders nothing and changes no state."""

    def __init__(self, echo: Echo | None, pace: Pace | None) -> None:
        self._echo = echo
        self._pace = pace

    def find(self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]) -> Selected:
        """Return what answers `prompt`. Of a mock with state, it is the source before anything is
        chosen."""
        return self.find_among(table, prompt, headers, table.index.candidates(prompt, headers))

    def find_among(
        self,
        table: Table,
        prompt: Prompt,
        headers: Mapping[bytes, bytes],
        candidates: tuple[Rule, ...],
    ) -> Selected:
        """Return what `find` does, given the rules that match."""
        selection = self._select(table, candidates)
        if selection is not None and table.api.batch is None:
            return selection
        found: Selected = finish(match_inputs(table, prompt, headers, selection, Effort()))
        return found

    def search(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Pieces[Selected]:
        """Do what `find` does, with pauses."""
        effort = Effort()
        candidates = yield from table.index.search(prompt, headers, effort)
        whole = self._select(table, candidates)
        return (yield from match_inputs(table, prompt, headers, whole, effort))

    def search_one(
        self, table: Table, prompt: Prompt, headers: Mapping[bytes, bytes]
    ) -> Pieces[Selection | UnmatchedError]:
        """Do what `search` does for a prompt that has one input."""
        selection = yield from self.search(table, prompt, headers)
        assert not isinstance(selection, SelectedInputs)
        return selection

    def _select(self, table: Table, candidates: tuple[Rule, ...]) -> Selection | None:
        """Return the source of the first of the rules that match, or of what answers if none
        does."""
        if candidates:
            rule = candidates[0]
            source = table.sources[rule.index]
            if not is_reusable(candidates):
                return Selection(source, rule, reusable=False, candidates=candidates)
            return _new(Selection, (source, rule, source.reusable, ()))
        fallback = self._fallback(table)
        if fallback is not None:
            return Selection(fallback, None, fallback.reusable)
        return None

    def chosen(
        self, table: Table, prompt: Prompt, rules: Sequence[Rule], result: Any
    ) -> Selection | RequestError:
        """Return the source of what a store has chosen among `rules` (`asking.choice_among`), or
        the error of its refusal."""
        match result:
            case Chosen(place, entry):
                rule = rules[place]
                source = table.sources[rule.index]
                if isinstance(source, ScriptedSource):
                    source = source.entries[entry]
                return _new(Selection, (source, rule, False, ()))
            case Exhausted(place):
                return asking.exhausted(rules[place], result)
            case SessionEnded():
                return asking.session_ended(result)
        assert isinstance(result, NoneLeft)
        fallback = self._fallback(table)
        if fallback is not None:
            return Selection(fallback, None, reusable=False)
        return none_left(table, rules, prompt)

    def _fallback(self, table: Table) -> Source | None:
        """Return the source that answers where no mock matches, if there is one."""
        api = table.api
        if api.generate is not None and (not table.has_mocks or self._echo is not None):
            # embeddings would displace everything else from the cache
            return GeneratedSource(api.generate, Outcome.GENERATED, reusable=False, pace=self._pace)
        echo = self._echo
        if echo is None:
            return None
        return GeneratedSource(
            lambda prompt: api.text_response(echo(prompt)),
            Outcome.ECHO,
            reusable=True,
            chunk=table.chunk,
            pace=self._pace,
        )

"""Asks the store which of the mocks that match answers, and answers with what it chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mockllm.engine import asking
from mockllm.engine.answering import Responder, uncached
from mockllm.engine.asked import Asked
from mockllm.engine.batches import MAX_INPUTS_AT_ONCE, SelectedInputs, join_answers
from mockllm.engine.decision import Decision, DividedWork, Match, Question
from mockllm.engine.effects import Effects
from mockllm.engine.match_cache import Choices, Key, MatchCache
from mockllm.engine.mocks import Table
from mockllm.engine.parts import choose_for_parts
from mockllm.engine.received import Received
from mockllm.engine.selection import Selected, Selector
from mockllm.engine.sources import Selection, entries_of
from mockllm.engine.straight import StraightAnswers
from mockllm.errors import RequestError
from mockllm.exchange import LazySteps
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces, finish
from mockllm.state.choosing import Choice, Chosen
from mockllm.state.sessions import COMMON

_new = tuple.__new__  # half the time of the class's own constructor


class Chooser:
    """Answers requests that mocks with state match."""

    def __init__(self, selector: Selector, responder: Responder, straight: StraightAnswers) -> None:
        self._selector = selector
        self._responder = responder
        self._straight = straight

    def answer(
        self,
        table: Table,
        asked: Asked,
        selection: Selected,
    ) -> Match | Decision | Question:
        """Return the match with the answer of what was selected, or the question what answers."""
        if isinstance(selection, SelectedInputs):
            return self._choose_for_inputs(table, asked, selection)
        if isinstance(selection, Selection) and selection.candidates:
            choices = asking.choices_of(table, selection.candidates)
            return self._choose(table, asked, choices)
        return self._responder.answer(table, asked, selection)

    def _choose(self, table: Table, asked: Asked, choices: Choices) -> Question:
        """Return the question which of the mocks that match a request answers."""

        def resume(results: Sequence[Any]) -> Decision | Question:
            return uncached(self._answer_choice(table, asked, choices, results[0]))

        operation = asking.choice_among(choices, asked.request, asked.session)
        return _new(Question, ((operation,), resume, None))

    def choose_first(
        self,
        table: Table,
        asked: Asked,
        rules: tuple[Rule, ...],
        cache: MatchCache | None,
        key: Key | None,
    ) -> Question:
        """Return the question which of the mocks of `rules` answers. That they match is kept under
        `key`, if there is one."""
        return self._choose(table, asked, _note_choices(table, rules, cache, key))

    def choose_straight(
        self,
        table: Table,
        asked: Asked,
        rules: tuple[Rule, ...],
        cache: MatchCache | None,
        key: Key | None,
    ) -> Question:
        """Return the question that `choose_first` does, about a request on the short way
        (`engine.straight`)."""
        choices = _note_choices(table, rules, cache, key)

        def resume(results: Sequence[Any]) -> Decision | Question:
            chosen = results[0]
            if type(chosen) is Chosen:
                rule = rules[chosen.candidate]
                decision = self._straight.decide(table, rule, asked.prompt, chosen.entry)
                if decision is not None:
                    return decision
            return uncached(self._answer_choice(table, asked, choices, chosen))

        operation = asking.choice_among(choices, asked.request, asked.session)
        return _new(Question, ((operation,), resume, None))

    def choose_again(
        self, received: Received, effects: Effects, known: Choices, cache: MatchCache
    ) -> Question:
        """Return the question that `choose_first` does, about a request whose mocks are known. It
        is decoded if the answer that is chosen has not been cached."""
        table, request, values, _, session, _ = received

        def resume(results: Sequence[Any]) -> Decision | Question:
            chosen = results[0]
            match = cache.get_answer(known, chosen) if type(chosen) is Chosen else None
            if match is None:
                prompt = table.api.decode(request, values)
                asked = _new(Asked, (prompt, request, session, 0, effects))
                found = self._answer_choice(table, asked, known, chosen)
                if not isinstance(found, Match) or type(chosen) is not Chosen:
                    return uncached(found)
                match = found
                if _is_reusable(table, known, chosen, match):
                    cache.add_answer(known, chosen, match)
            return _new(Decision, (match, match.reply, match.ready, COMMON, None))

        operation = asking.choice_among(known, request, session)
        return _new(Question, ((operation,), resume, None))

    def _answer_choice(
        self, table: Table, asked: Asked, choices: Choices, result: Any
    ) -> Match | Decision | Question:
        """Return the match with the answer that a store has chosen, or with its refusal."""
        if type(result) is Chosen:
            prompt, request, session, _, effects = asked
            asked = _new(Asked, (prompt, request, session, result.number, effects))
        selection = self._selector.chosen(table, asked.prompt, choices.rules, result)
        return self._responder.answer(table, asked, selection)

    def _choose_for_inputs(
        self, table: Table, asked: Asked, selected: SelectedInputs
    ) -> Decision | Question:
        """Return the question which mocks answer the inputs of a request."""

        def resume(choices: Sequence[Choice] | RequestError) -> Decision | Question:
            if isinstance(choices, RequestError):
                return uncached(self._responder.unmatched(table, asked.prompt, choices))
            chosen: list[Selection] = []
            for each, selection, choice in zip(*selected[:2], choices, strict=True):
                rules = selection.candidates
                found = self._selector.chosen(table, each, rules, choice) if rules else selection
                if isinstance(found, RequestError):
                    return uncached(self._responder.unmatched(table, each, found))
                chosen.append(found)
            work = self._join(table, asked, selected._replace(selections=chosen))
            if asked.prompt.inputs > MAX_INPUTS_AT_ONCE:
                return Question((DividedWork(work),), lambda results: results[0])
            decided: Decision | Question = finish(work)
            return decided

        parts = [selection.candidates for selection in selected.selections]
        return choose_for_parts(table, parts, asked.request, asked.session, resume)

    def _join(
        self, table: Table, asked: Asked, chosen: SelectedInputs
    ) -> Pieces[Decision | Question]:
        """Return the decision with the answers to all inputs, with pauses."""
        assert table.api.batch is not None
        selection = yield from join_answers(table.api.batch, asked.prompt, chosen)
        return uncached(self._responder.answer(table, asked, selection))


def _note_choices(
    table: Table, rules: tuple[Rule, ...], cache: MatchCache | None, key: Key | None
) -> Choices:
    """Return the choices among the mocks of `rules`, which are kept under `key`, if there is
    one."""
    choices = asking.choices_of(table, rules, key or ())
    if key is not None and cache is not None:
        cache.offer(key, choices)
    return choices


def _is_reusable(table: Table, choices: Choices, chosen: Chosen, match: Match) -> bool:
    """Return True if `match` is that of every equal request for which this is chosen."""
    source = table.sources[choices.rules[chosen.candidate].index]
    entry = entries_of(source)[chosen.entry]
    return entry.reusable and not isinstance(match.reply.steps, LazySteps)

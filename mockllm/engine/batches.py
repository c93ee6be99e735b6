"""Selects the mocks that answer the inputs of one request.

A mock whose match is the whole list answers it as a whole. Else each input is answered by the first
mock that matches it alone; if there is none, by the one that matches the request. A failure of one
input is that of the request. There may be thousands of inputs, so there is a pause after each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mockllm.engine.mocks import Table
from mockllm.engine.sources import GeneratedSource, Selection
from mockllm.engine.unmatched import UnmatchedError, no_match
from mockllm.matching.effort import Effort
from mockllm.matching.index import is_reusable
from mockllm.matching.message_predicates import ItemsEqual
from mockllm.matching.rule import Rule
from mockllm.pieces import Pieces
from mockllm.prompt import Prompt
from mockllm.providers.api import Batch

MAX_INPUTS_AT_ONCE = 64  # of one request; each takes up to 20 µs, and 2,048 are allowed


class SelectedInputs(NamedTuple):
    """The inputs of a request, each with the source that answers it: a mock that matches it
    `alone`, unless one names all inputs."""

    inputs: Sequence[Prompt]
    selections: Sequence[Selection]
    alone: bool

    @property
    def has_state(self) -> bool:
        """True if a store chooses what answers some input."""
        return any(selection.candidates for selection in self.selections)


def match_inputs(
    table: Table,
    prompt: Prompt,
    headers: Mapping[bytes, bytes],
    whole: Selection | None,
    effort: Effort,
) -> Pieces[Selection | SelectedInputs | UnmatchedError]:
    """Return the source of the answer to all inputs of `prompt`, their own sources if a mock with
    state is among them, or the 404, with pauses. `whole` is selected for the whole request, if
    anything is."""
    batch = table.api.batch
    unanswered = prompt
    if batch is not None and table.has_mocks:
        has_state = whole is not None and bool(whole.candidates)
        if whole is not None and not has_state and answers_as_it_is(whole, batch, prompt):
            return whole
        selected = yield from _select_for_inputs(table, batch, prompt, headers, whole, effort)
        if isinstance(selected, SelectedInputs):
            if selected.has_state:
                return selected
            return (yield from join_answers(batch, prompt, selected))
        unanswered = selected
        yield True
    elif whole is not None:
        return whole
    return (yield from no_match(table, headers, unanswered, effort))


def _select_for_inputs(
    table: Table,
    batch: Batch,
    prompt: Prompt,
    headers: Mapping[bytes, bytes],
    whole: Selection | None,
    effort: Effort,
) -> Pieces[SelectedInputs | Prompt]:
    """Return the sources of the answers to all inputs of `prompt`, or the first input that nothing
    answers, with pauses. `whole` is selected for the whole request, if anything is; one that
    `answers_as_it_is` need not be asked about."""
    inputs = batch.split(prompt)
    alone = not (whole is not None and _is_exact(whole))
    selections: list[Selection] = []
    for each in inputs:
        rules = (yield from table.index.search(each, headers, effort)) if alone else ()
        if rules:
            candidates = () if is_reusable(rules) else _and_whole(rules, whole)
            source = table.sources[rules[0].index]
            selections.append(Selection(source, rules[0], reusable=False, candidates=candidates))
        elif whole is not None:
            selections.append(whole)
        else:
            return each
        yield False
    return SelectedInputs(inputs, selections, alone)


def join_answers(batch: Batch, prompt: Prompt, selected: SelectedInputs) -> Pieces[Selection]:
    """Return the source of the answer to all inputs of `prompt`, whose mocks are chosen, with
    pauses."""
    inputs, selections, alone = selected
    first = selections[0]
    is_whole = len(inputs) == 1 or not alone
    if is_whole and answers_as_it_is(first, batch, prompt):
        return first
    pairs = zip(selections, inputs, strict=True)
    answers = [selection.source.answer(each) for selection, each in pairs]
    yield False
    for selection, answer in zip(selections, answers, strict=True):
        if answer.failure is not None:
            return selection
    responses = [answer.response for answer in answers]
    faults = next((answer.faults for answer in answers if answer.faults), ())
    source = GeneratedSource(
        lambda prompt: batch.join(inputs, responses),
        first.source.outcome,
        reusable=False,
        faults=faults,
        pace=answers[0].pace,
        has_own_pace=answers[0].has_own_pace,
    )
    return Selection(source, first.rule, reusable=False)


def _and_whole(rules: tuple[Rule, ...], whole: Selection | None) -> tuple[Rule, ...]:
    """Return the `rules` that match one input and, if all of them may be over, those that match the
    whole request behind them."""
    if not rules[-1].stateful or whole is None or whole.rule is None:
        return rules
    others = whole.candidates or (whole.rule,)
    return (*rules, *(rule for rule in others if rule not in rules))


def answers_as_it_is(whole: Selection, batch: Batch, prompt: Prompt) -> bool:
    """True if one answer, as it is written, is that to all inputs."""
    if whole.rule is None:
        return prompt.inputs == 1
    answer = whole.source.answer(prompt)
    if answer.failure is not None:
        return prompt.inputs == 1 or _is_exact(whole)
    answers = batch.answers(answer.response)
    return answers > 0 if prompt.inputs == 1 else answers > 1 and _is_exact(whole)


def _is_exact(whole: Selection) -> bool:
    """True if the mock that matches the request names all of its inputs."""
    predicates = () if whole.rule is None else whole.rule.predicates
    return any(isinstance(each, ItemsEqual) for each in predicates)

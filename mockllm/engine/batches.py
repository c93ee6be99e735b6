"""Selects the mocks that answer the inputs of one request.

A mock whose match is the whole list answers it as a whole. Else each input is answered by the first
mock that matches it alone; if there is none, by the one that matches the request. A failure of one
input is that of the request. There may be thousands of inputs, so there is a pause after each.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping

from mockllm.engine.mocks import Table
from mockllm.engine.sources import GeneratedSource, Selection
from mockllm.matching.predicates import ItemsEqual
from mockllm.prompt import Prompt
from mockllm.providers.api import Batch


def select_for_inputs(
    table: Table,
    batch: Batch,
    prompt: Prompt,
    headers: Mapping[bytes, bytes],
    whole: Selection | None,
) -> Generator[bool, None, Selection | Prompt]:
    """Return the source of the answer to all inputs of `prompt`, or the first input that nothing
    answers, with pauses (`Pieces`). `whole` is selected for the whole request, if anything is; one
    that `answers_as_it_is` need not be asked about."""
    inputs = batch.split(prompt)
    alone = not (whole is not None and _is_exact(whole))
    selections: list[Selection] = []
    for each in inputs:
        rule = table.index.find(each, headers) if alone else None
        if rule is not None:
            selections.append(Selection(table.sources[rule.index], rule, reusable=False))
        elif whole is not None:
            selections.append(whole)
        else:
            return each
        yield False
    pairs = zip(selections, inputs, strict=True)
    answers = [selection.source.answer(each) for selection, each in pairs]
    yield False
    for selection, answer in zip(selections, answers, strict=True):
        if answer.failure is not None:
            return selection
    responses = [answer.response for answer in answers]
    first = selections[0]

    source = GeneratedSource(
        lambda prompt: batch.join(inputs, responses), first.source.outcome, reusable=False
    )
    return Selection(source, first.rule, reusable=False)


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

"""Completes the token counts of an answer (openai 3.57.0: `CompletionUsage`, `ResponseUsage`).

What is filled in agrees with what is written: input and output add up to the total, and no part of
a count exceeds it. Values that are not counts are served as written and not calculated with. It
does not know how the tokens of an answer are estimated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mockllm.providers.api import CountCached
from mockllm.providers.counts import count, sum_counts
from mockllm.providers.members import fill_in
from mockllm.providers.reply import NeutralUsage
from mockllm.validation.findings import Finding, Kind
from mockllm.wire import placeholders

_CACHED = ("prompt_cache_hit_tokens", "cached_tokens")
"""Other names, beside the counts, of the details' `cached_tokens`: of DeepSeek and Moonshot."""
_MISSED = "prompt_cache_miss_tokens"
"""The rest of DeepSeek's input tokens."""


@dataclass(frozen=True, slots=True)
class UsageNames:
    """The names of an API: those of its counts, and of their details, whose defaults are zero.

    Details are in a member called after their count, such as `prompt_tokens_details`. `members`
    are all, in the order of the service; `followed_by` is that of `fill_in`.
    """

    input: str
    output: str
    members: tuple[str, ...]
    input_details: tuple[str, ...]
    output_details: tuple[str, ...]
    followed_by: Collection[str] | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Estimated tokens of an output: what the model `said`, and what it `thought` before."""

    said: int
    thought: int


def complete(written: Mapping[str, Any], form: UsageNames, output: Output) -> dict[str, Any]:
    """`written`, with its missing members filled in: the counts, their total, and their details."""
    counts = _Counts(written, form, output)
    values = {
        form.input: counts.input,
        form.output: counts.output,
        "total_tokens": counts.total,
        f"{form.input}_details": {},
        f"{form.output}_details": {},
    }
    details = {
        f"{form.input}_details": dict.fromkeys(form.input_details, 0)
        | {"cached_tokens": counts.cached or 0},
        f"{form.output}_details": dict.fromkeys(form.output_details, 0)
        | {"reasoning_tokens": counts.reasoning},
    }
    missing = {name: values[name] for name in form.members}
    completed = fill_in(written, missing, followed_by=form.followed_by)
    for name, defaults in details.items():
        if isinstance(completed[name], dict):
            completed[name] = fill_in(completed[name], defaults, followed_by=form.followed_by)
    return completed


def spell(usage: NeutralUsage, form: UsageNames) -> dict[str, int | dict[str, int]]:
    """Return the counts of a neutral reply that are written, with the names of an API."""
    values: dict[str, int | dict[str, int]] = {}
    if usage.input is not None:
        values[form.input] = usage.input
    if usage.output is not None:
        values[form.output] = usage.output
    if usage.cached is not None:
        values[f"{form.input}_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning is not None:
        values[f"{form.output}_details"] = {"reasoning_tokens": usage.reasoning}
    return {name: values[name] for name in form.members if name in values}


def count_cached(form: UsageNames) -> CountCached:
    """Return the function that adds a share of cached tokens to a usage (`API.count_cached`)."""
    name = f"{form.input}_details"

    def counted(
        written: Mapping[str, Any], estimated: int, share: float, divided: bool
    ) -> dict[str, Any]:
        details = written.get(name, {})
        said = {*_CACHED, _MISSED}.intersection(written)
        if said or not isinstance(details, dict) or "cached_tokens" in details:
            return dict(written)
        whole = count(written.get(form.input))
        if whole is None:
            if form.input in written or "total_tokens" in written:
                return dict(written)
            whole = estimated + sum_counts(details.values())
        cached = {name: {**details, "cached_tokens": int(whole * share)}}
        return {form.input: whole, **written, **cached}

    return counted


def find_contradictions(usage: Any, form: UsageNames) -> Iterator[Finding]:
    """Findings about written counts that do not add up, or are less than one of their parts.

    Gemini and xAI count reasoning in the total only, so a greater total is no contradiction where
    reasoning explains it.
    """
    if not isinstance(usage, dict):
        return
    prompt, output = count(usage.get(form.input)), count(usage.get(form.output))
    total = count(usage.get("total_tokens"))
    if total is not None:
        reasoning = count(_details(usage, form.output).get("reasoning_tokens")) or 0
        both = (prompt or 0) + (output or 0)
        known = prompt is not None and output is not None
        if total < both or (known and total not in (both, both + reasoning)):
            written = [name for name in (form.input, form.output) if count(usage.get(name))]
            message = f"{total}, but {' + '.join(written) or form.input} is {both}"
            yield Finding(("usage", "total_tokens"), message, Kind.WRONG)
    for name, whole, rest in ((form.input, prompt, output), (form.output, output, prompt)):
        left = None if total is None else max(total - (rest or 0), 0)
        for part, value in _details(usage, name).items():
            size = count(value)
            if size is None:
                continue
            if whole is None and left is not None and size > left:
                message = f"{size}, but usage.total_tokens is {total}"
            elif whole is not None and size > (
                max(whole, left or 0) if name == form.output else whole
            ):
                message = f"{size}, but usage.{name} is {whole}"
            else:
                continue
            yield Finding(("usage", f"{name}_details", part), message, Kind.WRONG)


class _Counts:
    """The counts of a usage: written, else the values that agree with what is written."""

    def __init__(self, written: Mapping[str, Any], form: UsageNames, output: Output) -> None:
        self.cached = _first_count(written, _CACHED)
        prompt = {"cached_tokens": self.cached} | _details(written, form.input)
        completion = {"reasoning_tokens": written.get("reasoning_tokens")} | _details(
            written, form.output
        )
        reasoning = count(completion.pop("reasoning_tokens"))
        least_input = sum_counts(prompt.values())
        said = max(output.said, sum_counts(completion.values()))
        total = count(written.get("total_tokens"))

        known_input: int | None = None
        if form.input in written:
            known_input = count(written[form.input]) or 0
        elif count(written.get(_MISSED)) is not None:
            known_input = sum_counts([prompt["cached_tokens"], written[_MISSED]])

        self.output: Any = said + (output.thought if reasoning is None else reasoning)
        if form.output in written:
            self.output = written[form.output]
        elif total is not None and known_input is not None:
            self.output = max(total - known_input, 0)
        elif total is not None:
            self.output = min(self.output, max(total - least_input, 0))
        produced = count(self.output) or 0
        thought = max(min(output.thought, produced - said), 0)
        self.reasoning = thought if reasoning is None else reasoning

        self.input: Any = known_input
        self.total: Any = produced + (known_input or 0)
        if known_input is None and total is not None:
            self.input = max(total - produced, 0)
        elif known_input is None:
            self.input = placeholders.tokens_placeholder(least_input)
            self.total = placeholders.tokens_placeholder(least_input + produced)


def _details(written: Mapping[str, Any], name: str) -> dict[str, Any]:
    details = written.get(f"{name}_details")
    return details if isinstance(details, dict) else {}


def _first_count(written: Mapping[str, Any], names: Collection[str]) -> int | None:
    counts = (count(written.get(name)) for name in names)
    return next((value for value in counts if value is not None), None)

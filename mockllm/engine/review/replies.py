"""Checks of replies, and of mocks that answer several APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from mockllm.config.answers import WrittenAnswer
from mockllm.config.mistakes import json_path
from mockllm.config.models import AnyMock
from mockllm.config.reply import Reply
from mockllm.engine.reply import EXAMPLE, compile_reply, compile_source
from mockllm.engine.review.mocks import sent_of, unreachable
from mockllm.errors import Place, Problem, Severity, warning
from mockllm.providers.api import API, SDK
from mockllm.providers.reply import NeutralCall, NeutralReply
from mockllm.validation.findings import Finding
from mockllm.validation.findings import Kind as FindingKind
from mockllm.wire import jsontext

MAX_FORMS = 1_024  # of replies, whose findings are kept


class Covering(NamedTuple):
    """The mock that hides another one. `is_default` is True if it answers any request, but the
    hidden one does not; `by_script` if it fails once its sequence is over."""

    label: str
    is_default: bool
    by_script: bool = False


Hidden = Mapping[str, Covering]
"""By the title of an API in which a mock is hidden, the mock that hides it."""


def confirm_reply(api: API, sdk: SDK, reply: Reply, place: Place) -> Iterator[Problem]:
    """Validate the response that says a reply against the SDK's model, as it is sent. Nothing
    is said of what an old SDK does not know: the author did not write it."""
    if api.respond is None:
        return
    for finding in _find_in_reply(api, sdk.confirm_response, form_of(compile_reply(reply))):
        path = json_path(list(finding.path))
        message = f"the answer of {api.title}: {path}: {finding.message}"
        yield warning(place.at("reply"), message)


def form_of(reply: NeutralReply) -> NeutralReply:
    """Return `reply` with an example in place of each text, which is a string of any content to the
    SDKs: replies of the same form have the same findings. Ids of calls stay different, or equal."""
    ids: dict[str | None, str | None] = {None: None, "": ""}
    return replace(
        reply,
        text=reply.text and EXAMPLE,
        reasoning=reply.reasoning and EXAMPLE,
        calls=tuple(
            NeutralCall(
                call.name and EXAMPLE,
                call_id=ids.setdefault(call.call_id, f"call_{len(ids)}"),
            )
            for call in reply.calls
        ),
        refusal=reply.refusal and EXAMPLE,
        json=reply.json and EXAMPLE,
    )


@lru_cache(maxsize=MAX_FORMS)
def _find_in_reply(
    api: API, confirm: Callable[[Any], Sequence[Finding]], reply: NeutralReply
) -> tuple[Finding, ...]:
    """Return what the SDK's model says of the response with a reply. It takes 0.2 ms, so that of
    10,000 answers of the same form it is done once."""
    assert api.respond is not None
    found = confirm(sent_of(api, api.respond(reply, {})))
    return tuple(finding for finding in found if finding.kind is not FindingKind.NEWER)


def unusable_arguments(
    written: WrittenAnswer, place: Place, apis: Iterable[API]
) -> Iterator[Problem]:
    """Report arguments of a call that are a text, but not that of a JSON object. `apis` are those
    that the answer is sent in."""
    in_messages = any(api.word == "messages" for api in apis)
    effect = 'Messages sends them as {"INVALID_JSON": "..."}' if in_messages else "sent as written"
    calls = written.said.tool_calls if written.said is not None else None
    for index, call in enumerate(calls or ()):
        arguments = call.arguments
        if isinstance(arguments, str) and not _is_object(arguments):
            message = (
                f"the arguments of a call are not a JSON object: {jsontext.describe(arguments)}; "
                f"{effect}"
            )
            path = f"reply.tool_calls[{index}].arguments"
            yield warning(place.at(path), message)


def wrong_templates(mock: AnyMock, place: Place) -> Iterator[Problem]:
    """Report templates that cannot be compiled, because of a mistake in them or because Jinja2 is
    not installed."""
    for where, written in mock.written():
        for path, source in written.said.templates() if written.said is not None else ():
            try:
                compile_source(source)
            except ValueError as exc:
                yield Problem(place.at(where).at(json_path(["reply", *path])), str(exc))


def _is_object(text: str) -> bool:
    try:
        value = jsontext.loads(text.encode("utf-8", "replace"))
    except ValueError:
        return text == ""  # some services send it for no arguments
    return isinstance(value, dict)


def hidden_in_apis(hidden: Hidden, place: Place, *, apis: int) -> Iterator[Problem]:
    """Report a mock of several APIs that never answers in some of them: a warning if it never
    answers in any of the `apis`, or because of an API's default. Else it is a note: an API's own
    list comes first so that it can replace answers."""
    by_label = {covering.label: covering for covering in hidden.values()}
    if len(hidden) == apis and len(by_label) == 1:
        (covering,) = by_label.values()
        yield unreachable(covering.label, place, by_script=covering.by_script)
        return
    if len(hidden) == apis:
        where = ", ".join(f"{covering.label} in {title}" for title, covering in hidden.items())
        message = f"unreachable: every request that this mock matches is matched by {where}"
        yield warning(place, message)
        return
    for title, covering in hidden.items():
        message = f"unreachable in {title}: {covering.label} matches every request that it matches"
        severity = Severity.NOTE
        if covering.is_default:
            message += "; an API's own list comes first, so a default there hides all of 'mocks'"
            severity = Severity.WARNING
        yield Problem(place, message, severity)

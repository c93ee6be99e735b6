"""Anthropic Messages, POST /v1/messages (anthropic 2.12.0), as a codec of requests, answers
and streams. It knows no other API, no socket and no table of mocks.
"""

from __future__ import annotations

from mockllm.providers.anthropic.messages.anatomy import ANATOMY
from mockllm.providers.anthropic.messages.answer import count_cached, refuse, text_response
from mockllm.providers.anthropic.messages.contradictions import find_contradictions
from mockllm.providers.anthropic.messages.echo import echoed
from mockllm.providers.anthropic.messages.prompt import (
    NAME,
    compile_match,
    decode,
    prepare,
    read,
)
from mockllm.providers.anthropic.messages.render import render
from mockllm.providers.anthropic.messages.reply import custom_tools, respond, spell_calls
from mockllm.providers.anthropic.messages.speech import SPEAKER
from mockllm.providers.anthropic.messages.stream import frame
from mockllm.providers.anthropic.vendor import ANTHROPIC
from mockllm.providers.api import API, SDK


def _sdk() -> SDK:
    # only when it is needed: it may import the SDK
    from mockllm.providers.anthropic.messages import sdk

    return sdk


MESSAGES = API(
    vendor=ANTHROPIC,
    name=NAME,
    word="messages",
    title="Anthropic Messages",
    routes=("/v1/messages",),
    match_field="message",
    sdk=_sdk,
    decode=decode,
    read=read,
    prepare=prepare,
    compile_match=compile_match,
    render=render,
    answer_members=("content",),
    text_response=text_response,
    frame=frame,
    find_contradictions=find_contradictions,
    last_events=("message_stop", "error"),
    respond=respond,
    custom_tools=custom_tools,
    spell_calls=spell_calls,
    speaker=SPEAKER,
    count_cached=count_cached,
    echo=echoed,
    refuse=refuse,
    anatomy=ANATOMY,
)

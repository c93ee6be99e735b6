"""OpenAI Chat Completions, POST /v1/chat/completions (openai 3.54.0), as a codec of requests,
answers and streams. It knows no other API, no socket and no table of mocks.
"""

from __future__ import annotations

from mockllm.providers.api import API, SDK
from mockllm.providers.openai import azure, service_tier, usage
from mockllm.providers.openai.chat.anatomy import ANATOMY
from mockllm.providers.openai.chat.answer import USAGE, text_response
from mockllm.providers.openai.chat.contradictions import find_contradictions
from mockllm.providers.openai.chat.prompt import (
    NAME,
    compile_match,
    decode,
    prepare,
    read,
)
from mockllm.providers.openai.chat.render import render
from mockllm.providers.openai.chat.reply import custom_tools, respond, spell_calls
from mockllm.providers.openai.chat.speech import SPEAKER
from mockllm.providers.openai.chat.stream import frame
from mockllm.providers.openai.vendor import OPENAI


def _sdk() -> SDK:
    from mockllm.providers.openai.chat import sdk  # only when it is needed: it may import the SDK

    return sdk


CHAT = API(
    vendor=OPENAI,
    name=NAME,
    word="chat",
    title="OpenAI Chat Completions",
    routes=azure.routes_of("/v1/chat/completions"),
    match_field="message",
    sdk=_sdk,
    decode=decode,
    read=read,
    prepare=prepare,
    compile_match=compile_match,
    render=render,
    answer_members=("choices",),
    text_response=text_response,
    frame=frame,
    find_contradictions=find_contradictions,
    respond=respond,
    custom_tools=custom_tools,
    spell_calls=spell_calls,
    reports_failed_tools=False,
    speaker=SPEAKER,
    count_cached=usage.count_cached(USAGE),
    echo=service_tier.echoed,
    last_events=("[DONE]",),
    anatomy=ANATOMY,
)

"""OpenAI Responses, POST /v1/responses (openai 3.54.0), as a codec of requests, answers and
streams. It knows no other API, no socket and no table of mocks.
"""

from __future__ import annotations

from mockllm.providers.api import API, SDK
from mockllm.providers.openai import azure, usage
from mockllm.providers.openai.responses.anatomy import ANATOMY
from mockllm.providers.openai.responses.answer import USAGE, text_response
from mockllm.providers.openai.responses.contradictions import find_contradictions
from mockllm.providers.openai.responses.echo import echo_long, echoed
from mockllm.providers.openai.responses.failures import FAILURES
from mockllm.providers.openai.responses.prompt import (
    NAME,
    compile_match,
    decode,
    prepare,
    read,
)
from mockllm.providers.openai.responses.render import render
from mockllm.providers.openai.responses.reply import custom_tools, respond, spell_calls
from mockllm.providers.openai.responses.speech import SPEAKER
from mockllm.providers.openai.responses.stream import frame
from mockllm.providers.openai.vendor import OPENAI


def _sdk() -> SDK:
    # only when it is needed: it may import the SDK
    from mockllm.providers.openai.responses import sdk

    return sdk


RESPONSES = API(
    vendor=OPENAI,
    name=NAME,
    word="responses",
    title="OpenAI Responses",
    routes=(*azure.routes_of("/v1/responses"), azure.unversioned("/v1/responses")),
    match_field="input",
    sdk=_sdk,
    decode=decode,
    read=read,
    prepare=prepare,
    compile_match=compile_match,
    render=render,
    answer_members=("status", "output"),
    text_response=text_response,
    frame=frame,
    find_contradictions=find_contradictions,
    respond=respond,
    custom_tools=custom_tools,
    spell_calls=spell_calls,
    speaker=SPEAKER,
    count_cached=usage.count_cached(USAGE),
    echo=echoed,
    echo_long=echo_long,
    last_events=("response.completed", "response.incomplete", "response.failed", "error"),
    failures=FAILURES,
    anatomy=ANATOMY,
)

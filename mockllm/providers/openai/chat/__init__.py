"""OpenAI Chat Completions: POST /v1/chat/completions (openai 3.54.0)."""

from __future__ import annotations

from mockllm.providers.api import API, SDK
from mockllm.providers.openai import vendor
from mockllm.providers.openai.chat.answer import text_response
from mockllm.providers.openai.chat.prompt import NAME, compile_match, decode
from mockllm.providers.openai.chat.render import render
from mockllm.providers.openai.chat.stream import frame


def _sdk() -> SDK:
    from mockllm.providers.openai.chat import sdk  # costs a second: only where it is in use

    return sdk


CHAT = API(
    name=NAME,
    title="OpenAI Chat Completions",
    paths=("/v1/chat/completions",),
    match_field="message",
    sdk=_sdk,
    authenticate=vendor.authenticate_openai,
    decode=decode,
    compile_match=compile_match,
    render=render,
    render_error=vendor.openai_error,
    text_response=text_response,
    stream_headers=vendor.openai_headers(stream=True),
    frame=frame,
    ends_with_done=True,
)

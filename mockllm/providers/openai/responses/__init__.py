"""OpenAI Responses: POST /v1/responses (openai 3.54.0)."""

from __future__ import annotations

from mockllm.providers.api import API, SDK
from mockllm.providers.openai import vendor
from mockllm.providers.openai.responses.answer import text_response
from mockllm.providers.openai.responses.prompt import NAME, compile_match, decode
from mockllm.providers.openai.responses.render import render
from mockllm.providers.openai.responses.stream import frame


def _sdk() -> SDK:
    from mockllm.providers.openai.responses import sdk  # costs a second: only where it is in use

    return sdk


RESPONSES = API(
    name=NAME,
    title="OpenAI Responses",
    paths=("/v1/responses",),
    match_field="input",
    sdk=_sdk,
    authenticate=vendor.authenticate_openai,
    decode=decode,
    compile_match=compile_match,
    render=render,
    render_error=vendor.openai_error,
    text_response=text_response,
    stream_headers=vendor.openai_headers(stream=True),
    frame=frame,
)

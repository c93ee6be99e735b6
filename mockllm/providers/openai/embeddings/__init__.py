"""OpenAI Embeddings: POST /v1/embeddings (openai 3.54.0)."""

from __future__ import annotations

from mockllm.providers.api import API, SDK
from mockllm.providers.openai import vendor
from mockllm.providers.openai.embeddings.prompt import NAME, compile_match, decode
from mockllm.providers.openai.embeddings.render import generate, render, text_response
from mockllm.wire import sse


def _sdk() -> SDK:
    from mockllm.providers.openai.embeddings import sdk  # costs a second: only where it is in use

    return sdk


EMBEDDINGS = API(
    name=NAME,
    title="OpenAI Embeddings",
    paths=("/v1/embeddings",),
    match_field="input",
    sdk=_sdk,
    authenticate=vendor.authenticate_openai,
    decode=decode,
    compile_match=compile_match,
    render=render,
    render_error=vendor.openai_error,
    text_response=text_response,
    stream_headers=vendor.openai_headers(stream=True),
    frame=sse.frame,
    generate=generate,
)

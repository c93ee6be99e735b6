"""OpenAI Embeddings: POST /v1/embeddings (openai 3.54.0)."""

from __future__ import annotations

from mockllm.providers.api import SDK, Provider
from mockllm.providers.openai import vendor
from mockllm.providers.openai.embeddings.prompt import NAME, decode, expect
from mockllm.providers.openai.embeddings.render import invent, render, say
from mockllm.wire import sse


def _sdk() -> SDK:
    from mockllm.providers.openai.embeddings import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="OpenAI Embeddings",
    paths=("/v1/embeddings",),
    looks_at="input",
    sdk=_sdk,
    admit=vendor.admit_openai,
    decode=decode,
    expect=expect,
    render=render,
    render_error=vendor.openai_error,
    say=say,
    stream_headers=vendor.openai_headers(stream=True),
    frame=sse.frame,
    invent=invent,
)

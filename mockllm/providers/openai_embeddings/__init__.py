"""OpenAI Embeddings: POST /v1/embeddings (openai 3.54.0)."""

from __future__ import annotations

from mockllm import credentials, envelopes
from mockllm.provider import SDK, Provider
from mockllm.providers.openai_embeddings.prompt import NAME, decode, expect
from mockllm.providers.openai_embeddings.render import invent, render, say
from mockllm.wire import sse


def _sdk() -> SDK:
    from mockllm.providers.openai_embeddings import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="OpenAI Embeddings",
    paths=("/v1/embeddings",),
    looks_at="input",
    sdk=_sdk,
    admit=credentials.admit_openai,
    decode=decode,
    expect=expect,
    render=render,
    render_error=envelopes.openai_error,
    say=say,
    stream_headers=envelopes.openai_headers(stream=True),
    frame=sse.frame,
    invent=invent,
)

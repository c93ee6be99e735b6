"""OpenAI Responses: POST /v1/responses (openai 3.54.0)."""

from __future__ import annotations

from mockllm import credentials, envelopes
from mockllm.provider import SDK, Provider
from mockllm.providers.openai_responses.answer import say
from mockllm.providers.openai_responses.prompt import NAME, decode, expect
from mockllm.providers.openai_responses.render import render
from mockllm.providers.openai_responses.stream import frame


def _sdk() -> SDK:
    from mockllm.providers.openai_responses import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="OpenAI Responses",
    paths=("/v1/responses",),
    looks_at="input",
    sdk=_sdk,
    admit=credentials.admit_openai,
    decode=decode,
    expect=expect,
    render=render,
    render_error=envelopes.openai_error,
    say=say,
    stream_headers=envelopes.openai_headers(stream=True),
    frame=frame,
)

"""OpenAI Responses: POST /v1/responses (openai 3.54.0)."""

from __future__ import annotations

from mockllm.providers.api import SDK, Provider
from mockllm.providers.openai import vendor
from mockllm.providers.openai.responses.answer import say
from mockllm.providers.openai.responses.prompt import NAME, decode, expect
from mockllm.providers.openai.responses.render import render
from mockllm.providers.openai.responses.stream import frame


def _sdk() -> SDK:
    from mockllm.providers.openai.responses import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="OpenAI Responses",
    paths=("/v1/responses",),
    looks_at="input",
    sdk=_sdk,
    admit=vendor.admit_openai,
    decode=decode,
    expect=expect,
    render=render,
    render_error=vendor.openai_error,
    say=say,
    stream_headers=vendor.openai_headers(stream=True),
    frame=frame,
)

"""OpenAI Chat Completions: POST /v1/chat/completions (openai 3.54.0)."""

from __future__ import annotations

from mockllm.providers.api import SDK, Provider
from mockllm.providers.openai import vendor
from mockllm.providers.openai.chat.answer import say
from mockllm.providers.openai.chat.prompt import NAME, decode, expect
from mockllm.providers.openai.chat.render import render
from mockllm.providers.openai.chat.stream import frame


def _sdk() -> SDK:
    from mockllm.providers.openai.chat import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="OpenAI Chat Completions",
    paths=("/v1/chat/completions",),
    looks_at="message",
    sdk=_sdk,
    admit=vendor.admit_openai,
    decode=decode,
    expect=expect,
    render=render,
    render_error=vendor.openai_error,
    say=say,
    stream_headers=vendor.openai_headers(stream=True),
    frame=frame,
    ends_with_done=True,
)

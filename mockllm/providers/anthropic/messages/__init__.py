"""Anthropic Messages: POST /v1/messages (anthropic 2.12.0)."""

from __future__ import annotations

from mockllm.providers.anthropic import vendor
from mockllm.providers.anthropic.messages.answer import say
from mockllm.providers.anthropic.messages.prompt import NAME, decode, expect
from mockllm.providers.anthropic.messages.render import render
from mockllm.providers.anthropic.messages.stream import frame
from mockllm.providers.api import SDK, Provider


def _sdk() -> SDK:
    from mockllm.providers.anthropic.messages import sdk  # costs a second: only where it is in use

    return sdk


PROVIDER = Provider(
    name=NAME,
    title="Anthropic Messages",
    paths=("/v1/messages",),
    looks_at="message",
    sdk=_sdk,
    admit=vendor.admit_anthropic,
    decode=decode,
    expect=expect,
    render=render,
    render_error=vendor.anthropic_error,
    say=say,
    stream_headers=vendor.anthropic_headers(stream=True),
    frame=frame,
)

"""The HTTP library of the installed SDKs, which has had two names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx2 as httpx
else:
    try:
        import httpx2 as httpx
    except ModuleNotFoundError:  # openai 2 and anthropic 0
        import httpx

__all__ = ["httpx"]

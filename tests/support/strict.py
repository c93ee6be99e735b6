"""Arguments of official clients that validate every answer by the SDK's types."""

from __future__ import annotations

from typing import Any

from tests.support.served import API_KEY

STRICT: dict[str, Any] = {"max_retries": 0, "_strict_response_validation": True}
"""No retries, and an exception for any answer that differs from the type that the SDK declares."""

STRICT_WITH_KEY: dict[str, Any] = {"api_key": API_KEY, **STRICT}

"""Reads one JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mockllm.errors import ConfigError, Place, Problem
from mockllm.wire import jsontext


def read_file(path: str | Path) -> Any:
    """Return the content of a JSON file.

    Raises:
        ConfigError: it cannot be read, or is not JSON.
    """
    file = Place(file=str(path))
    try:
        return jsontext.loads(Path(path).read_bytes(), max_values=None)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ConfigError((Problem(file, f"cannot be read: {reason}"),)) from exc
    except ValueError as exc:
        raise ConfigError((Problem(file, f"is not JSON: {exc}"),)) from exc

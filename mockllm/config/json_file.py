"""Reads one JSON file."""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mockllm.errors import ConfigError, Problem
from mockllm.wire import jsontext

_OTHER_KINDS: Mapping[str, Callable[[int], bool]] = {
    "a directory": stat.S_ISDIR,
    "a named pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}


def read_file(path: str | Path) -> Any:
    """Return the content of a JSON file. Anything but a regular file is refused before it is
    opened: a pipe would block until somebody writes, and a device might never end.

    Raises:
        ConfigError: it cannot be read, or is not JSON.
    """
    file = str(path)
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            found = next((kind for kind, holds in _OTHER_KINDS.items() if holds(mode)), "another")
            message = f"cannot be read: expected a regular file, found {found}"
            raise ConfigError((Problem(file, message),))
        return jsontext.loads(Path(path).read_bytes(), max_values=None)
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise ConfigError((Problem(file, f"cannot be read: {reason}"),)) from exc
    except ValueError as exc:
        raise ConfigError((Problem(file, f"is not JSON: {exc}"),)) from exc

"""The directory of the state that workers share."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mockllm.errors import MockLLMError
from mockllm.serve.address import reason_of

MEMORY = Path("/dev/shm")  # noqa: S108  # a new directory in it is private to the user


class StateFolder:
    """A directory of its own for each server, private to the user: in the one that the operator has
    chosen, else in memory, else where temporary files are."""

    def __init__(self, chosen: Path | None = None) -> None:
        """Create the directory.

        Raises:
            MockLLMError: there is no place for it.
        """
        places = [MEMORY, Path(tempfile.gettempdir())] if chosen is None else [chosen]
        reasons = []
        for place in places:
            try:
                self.path = Path(tempfile.mkdtemp(prefix="mockllm-state-", dir=place))
            except OSError as exc:
                reasons.append(f"{place}: {reason_of(exc)}")
            else:
                return
        message = f"no directory for the state that workers share: {'; '.join(reasons)}"
        raise MockLLMError(f"{message}. Choose one with --state-dir")

    def remove(self) -> None:
        """Remove the directory with everything in it."""
        remove_folder(self.path)


def remove_folder(path: Path) -> None:
    """Remove the directory at `path` with everything in it. Without effect if there is none."""
    shutil.rmtree(path, ignore_errors=True)

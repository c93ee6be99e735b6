"""The entry of the command as a process of its own. It imports little, so that a signal during the
import of the rest ends the process quietly.
"""

from __future__ import annotations

import gc
import os

TYPE_CHECKING = False  # as in `typing`, whose import would take longer than all the others
if TYPE_CHECKING:
    import signal
else:
    import _signal as signal  # what `signal` wraps in enums, which takes it a millisecond

END_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run() -> int:
    """Run the command with the arguments of the process. Returns the exit status.

    Raises:
        SystemExit: after --help or --version, or with status 2 if the command line is invalid.
    """
    for number in END_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a job in the background
            signal.signal(number, _exit)
    gc.disable()  # as `main` does: collections would take a tenth of the imports
    # plugins observe what a program validates; to search for some takes milliseconds
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        from mockllm.cli.main import main  # takes some tenths of a second

        return main()
    finally:
        for number in END_SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # the process exits, with a status of its own


def _exit(number: int, frame: object) -> None:
    """Exit with the status that shells report for a process ended by this signal."""
    os._exit(128 + number)

"""``python -m mockllm``: see `cli.entry`."""

import sys

from mockllm.cli.entry import run

if __name__ == "__main__":
    sys.exit(run())

"""``python -m mockllm``: see `cli.main`."""

import sys

from mockllm.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

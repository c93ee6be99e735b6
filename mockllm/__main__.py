"""``python -m mockllm``: see `mockllm.cli`."""

import sys

from mockllm.cli import main

if __name__ == "__main__":
    sys.exit(main())

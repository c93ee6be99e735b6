"""The command line: ``mockllm [serve]``, ``mockllm check``, ``mockllm schema``.

Exit status: 0 success, 1 warnings (`check`) or an address that cannot be listened on, 2 an error
in the configuration or on the command line, 130 interrupted (`check`).
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Sequence

from mockllm.cli.checking import run_check
from mockllm.cli.options import check_options, schema_options, serve_options
from mockllm.cli.serving import run_server
from mockllm.cli.terminal import (
    FAILED,
    MISTAKES,
    fill_standard_descriptors,
    print_lines,
    print_result,
    report,
)
from mockllm.engine.json_schema import configuration_schema
from mockllm.errors import ConfigError, MockLLMError

INTERRUPTED = 130  # 128 plus the number of SIGINT, as shells report it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status.

    Raises:
        SystemExit: after --help or --version, or with status 2 if the command line is invalid.
    """
    args = sys.argv[1:] if arguments is None else list(arguments)
    fill_standard_descriptors()
    was_enabled = gc.isenabled()
    gc.disable()  # loading creates many objects but no garbage; `freeze_heap` enables it again
    try:
        match args:
            case ["check", *rest]:
                return run_check(check_options(rest))
            case ["schema", *rest]:
                return _schema(schema_options(rest))
            case ["serve", *rest]:
                return run_server(serve_options(rest))
            case _:
                return run_server(serve_options(args))
    except ConfigError as exc:
        report(exc.problems)
        return MISTAKES
    except MockLLMError as exc:
        print_lines(f"mockllm: {exc}", stream=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if was_enabled:
            gc.enable()


def _schema(options: argparse.Namespace) -> int:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return print_result(json.dumps(schema | configuration_schema(), indent=1))

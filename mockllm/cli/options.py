"""The parsers of the command line: which options may stand together, and what is told of others."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any, NoReturn

import mockllm
from mockllm.cli.limit_options import add_limits
from mockllm.cli.option_tables import CHECK_OPTIONS, SERVE_OPTIONS
from mockllm.cli.option_values import OWN, TOKEN, VLLM, path
from mockllm.config.address import shown
from mockllm.errors import closest
from mockllm.redaction import escape

COMMANDS = ("serve", "check", "schema")
"""The first words of a command line that are not files."""

_COMMAND_HELP = """\
commands:
  mockllm [serve] [FILE ...]  serve mocks
  mockllm check FILE ...      report what is wrong with files of mocks
  mockllm schema              print the JSON Schema of the files

'mockllm COMMAND --help' describes each of them. A file whose name is one of
these words is given as ./check.
"""


class _Parser(argparse.ArgumentParser):
    """A parser that takes files and options in any order, and whose errors are one line."""

    def __init__(self, command: str, arguments: str, **texts: Any) -> None:
        super().__init__(
            prog=command,
            usage=f"{command} {arguments}".rstrip(),
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **texts,
        )

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse a command line. Exits with status 2 if it is invalid."""
        options, unknown = self.parse_known_intermixed_args(words)
        if unknown:
            option = unknown[0].partition("=")[0]
            known = [name for action in self._actions for name in action.option_strings]
            meant = closest(option, known) if option.startswith("-") else None
            if option.lstrip("-") in COMMANDS:
                meant = f"'mockllm {option.lstrip('-')}'"
            kind = "option" if option.startswith("-") else "argument"
            hint = f"; did you mean {meant}?" if meant else ""
            self.error(f"unknown {kind} {shown(option)}{hint}")
        return options

    def error(self, message: str) -> NoReturn:
        """Exit with status 2 after the usage and `message`, each on one line."""
        super().error(escape(message))


def serve_options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line of ``mockllm``. Exits with status 2 if it is invalid. The files of
    `config` are those of --config, then the others."""
    parser = _serve_parser()
    options = parser.parse(_with_value(words))
    if "--" not in words:
        _refuse_commands(parser, [file for file in map(str, options.files) if file in words])
    options.config = [*(options.config or ()), *options.files] or None
    if options.reload and not options.config:
        parser.error("--reload needs a FILE")
    if options.ssl_keyfile and not options.ssl_certfile:
        parser.error("--ssl-keyfile needs --ssl-certfile")
    if options.control_templates and not options.control:
        parser.error("--control-templates needs --control")
    if options.journal and not options.control:
        parser.error("--journal needs --control: only the control API reads what is kept")
    for name in ("state_lost", "state_any_config"):
        if getattr(options, name) != parser.get_default(name) and not options.state:
            parser.error(f"--{name.replace('_', '-')} needs --state")
    if options.uds and (options.host or options.port is not None or options.listen_addr):
        parser.error("--uds cannot be combined with --host, --port or --listen-addr")
    return options


def _with_value(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with the values of ``--control`` and ``--metrics`` written
    out, which would else take the file behind them for their value."""
    end = words.index("--") if "--" in words else len(words)
    written: list[str] = []
    for word in words[:end]:
        if word == VLLM and written and written[-1] == f"--metrics={OWN}":
            written[-1] = f"--metrics={VLLM}"
        else:
            written.append(_OPTIONAL_VALUES.get(word, word))
    return [*written, *words[end:]]


_OPTIONAL_VALUES = {"--control": f"--control={TOKEN}", "--metrics": f"--metrics={OWN}"}


def _refuse_commands(parser: _Parser, names: Sequence[str]) -> None:
    """Exit with status 2 if one of these names of files was meant to be a command."""
    for name in names:
        if name in COMMANDS:
            parser.error(
                f"the command {name!r} must come first; a file of this name is given as ./{name}"
            )
        if os.path.lexists(name) or not name.isalpha():
            continue
        meant = f"--{name}" if name in ("help", "version") else closest(name, COMMANDS)
        hint = f"; did you mean 'mockllm {meant}'?" if meant else f" ({', '.join(COMMANDS)})"
        parser.error(f"{shown(name)} is neither a file nor a command{hint}")


def _serve_parser() -> _Parser:
    parser = _Parser(
        "mockllm",
        "[OPTIONS] [FILE ...]",
        description="A mock LLM server: OpenAI Chat Completions, Responses and Embeddings, and\n"
        "Anthropic Messages, from a table of mocks. Without a FILE it serves demo mocks.",
        epilog=_COMMAND_HELP,
    )
    parser.add_argument(
        "files",
        type=path,
        nargs="*",
        metavar="FILE",
        help="JSON or YAML file of mocks, or a directory of such files; mocks are tried in this "
        "order",
    )
    parser.add_argument("--version", action="version", version=f"mockllm {mockllm.__version__}")
    for title, options in SERVE_OPTIONS.items():
        group = parser.add_argument_group(title)
        for option in options:
            option.add_to(group)
    add_limits(parser)
    return parser


def check_options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the rest of ``mockllm check``. Exits with status 2 if it is invalid."""
    parser = _Parser(
        "mockllm check",
        "[OPTIONS] FILE ...",
        description="Checks files of mocks. Exit status 0: no problems, 1: warnings, 2: errors.",
    )
    parser.add_argument(
        "files",
        type=path,
        nargs="+",
        metavar="FILE",
        help="JSON or YAML file of mocks, or a directory of such files",
    )
    for option in CHECK_OPTIONS:
        option.add_to(parser)
    return parser.parse(words)


def schema_options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the rest of ``mockllm schema``. Exits with status 2 if it is invalid."""
    parser = _Parser(
        "mockllm schema", "", description="Prints the JSON Schema of the configuration format."
    )
    return parser.parse(words)

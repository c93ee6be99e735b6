"""Reads one configuration file, JSON or YAML, without looking at what the data mean."""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from mockllm.config.json_remedies import explain
from mockllm.config.json_scanner import Unexpected, scan
from mockllm.config.mistakes import place_of
from mockllm.config.source_text import MAX_REMARKS, Remark, SourceError, decode, position
from mockllm.errors import ConfigError, Place, Problem, closest, did_you_mean
from mockllm.wire import jsontext

YAML_SUFFIXES = (".yaml", ".yml")
SUFFIXES = (".json", *YAML_SUFFIXES)

_OTHER_KINDS: Mapping[str, Callable[[int], bool]] = {
    "a directory": stat.S_ISDIR,
    "a named pipe": stat.S_ISFIFO,
    "a socket": stat.S_ISSOCK,
    "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
}
_ESCAPED_COLON = re.compile(rb"(?<!\\)(?:\\\\)*+\\u003[aA]")

MAX_NAMES = 1_000  # of files in a directory that are compared with one that is not there


class FileData(NamedTuple):
    """The content of a file, and the problems that do not prevent reading it."""

    data: Any
    problems: tuple[Problem, ...]
    wrong_values: frozenset[str] = frozenset()
    """The places of values that are not those of JSON."""

    def with_others(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Return the problems of the file and those of its validation; of a value that is not one
        of JSON, there is nothing more to say."""
        others = (each for each in problems if each.place not in self.wrong_values)
        return (*self.problems, *others)


def read_file(path: str | Path) -> FileData:
    """Return the content of a JSON file or, by its suffix, of a YAML file. Anything but a regular
    file is refused before it is opened: a pipe would block until somebody writes, and a device
    might never end.

    Raises:
        ConfigError: it cannot be read, or is not JSON or YAML.
    """
    file = Place(file=str(path))
    if "\0" in file:  # Python's own message says nothing of a name
        place = Place(file=repr(str(path)))
        raise ConfigError((Problem(place, "cannot be read: a name has no NUL character"),))
    try:
        mode = Path(path).stat().st_mode
        if not stat.S_ISREG(mode):
            found = next((kind for kind, holds in _OTHER_KINDS.items() if holds(mode)), "another")
            message = f"cannot be read: expected a regular file, found {found}"
            raise ConfigError((Problem(file, message),))
        content = Path(path).read_bytes()
    except OSError as exc:
        reason = (exc.strerror or type(exc).__name__) + _similar(exc, Path(path))
        raise ConfigError((Problem(file, f"cannot be read: {reason}"),)) from exc
    is_yaml = Path(path).suffix.lower() in YAML_SUFFIXES
    try:
        data, remarks = _yaml(content) if is_yaml else _json(content)
    except SourceError as exc:
        form = "YAML" if is_yaml else "JSON"
        raise ConfigError((Problem(file, f"is not {form}: {exc}"),)) from exc
    return _with_remarks(data, remarks, file)


def _similar(error: OSError, path: Path) -> str:
    """Return the name of a file beside the one that is not there and was probably meant."""
    if not isinstance(error, FileNotFoundError):
        return ""
    try:
        names = [each.name for each in islice(path.parent.iterdir(), MAX_NAMES)]
    except OSError:
        return ""
    meant = closest(path.name, names, likeness=0.85)  # of c.json and d.json it is 0.83
    return did_you_mean(meant and str(path.with_name(meant)))


def read_json(content: bytes) -> FileData:
    """Return the content of a JSON text that is in no file.

    Raises:
        ConfigError: it is not JSON.
    """
    try:
        data, remarks = _json(content)
    except SourceError as exc:
        raise ConfigError((Problem("", str(exc)),)) from exc
    return _with_remarks(data, remarks, "")


def _with_remarks(data: Any, remarks: Iterable[Remark], file: str) -> FileData:
    problems: list[Problem] = []
    wrong_values: set[str] = set()
    for remark in islice(remarks, MAX_REMARKS):
        place = place_of(remark.path, data, file)
        problems.append(Problem(place, remark.message, remark.severity))
        if remark.is_of_value:
            wrong_values.add(place)
    return FileData(data, tuple(problems), frozenset(wrong_values))


Content = tuple[Any, Iterable[Remark]]


def _yaml(content: bytes) -> Content:
    text = decode(content)
    if text.lstrip().startswith(("{", "[")):  # JSON, most likely; YAML reads 1e3 as a text
        with contextlib.suppress(ValueError):
            return _json(content)
    from mockllm.config import yaml_text  # its parser takes 20 ms to import

    return yaml_text.load(text)


def _json(content: bytes) -> Content:
    try:
        data = jsontext.loads(content, max_values=None)
    except ValueError as exc:
        raise SourceError(_syntax_error(decode(content), str(exc))) from exc
    return data, _duplicates(decode(content)) if _has_duplicate_keys(content, data) else ()


def _syntax_error(text: str, reason: str) -> str:
    """Explain why a text is not JSON; `reason` is the decoder's, for what only it refuses."""
    try:
        for _ in scan(text):
            pass
    except Unexpected as error:
        return explain(text, error)
    return reason


def _has_duplicate_keys(content: bytes, data: Any) -> bool:
    """True if an object of a JSON text, decoded as `data`, has a key twice.

    The decoder keeps the last of them silently. Then the data have fewer colons than the text: one
    for each member, and those of strings.
    """
    colons = content.count(b":")
    if b"\\u003" in content:  # which is found in a fraction of the time
        colons += len(_ESCAPED_COLON.findall(content))
    return colons > jsontext.dumps(data).count(b":")


def _duplicates(text: str) -> Iterator[Remark]:
    for found in scan(text):
        where = position(text, found.offset)
        first = position(text, found.first)
        message = f"{where}: the key {found.key!r} occurs twice, first in {first}; remove one"
        yield Remark(found.path, message)

"""Reads configurations from files and directories."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from mockllm.config.json_file import SUFFIXES, FileData, read_file
from mockllm.config.models import JOINED_FIELDS, MOCK_FIELDS, Config
from mockllm.config.traffic import Traffic
from mockllm.errors import ConfigError, Place, Problem, warning

_NO_FILES = (
    f"expected a directory with {', '.join(f'*{suffix}' for suffix in SUFFIXES)} files, found "
    "none (its subdirectories are not searched)"
)


def read_files(*paths: str | Path) -> tuple[Config, list[Problem]]:
    """Read several files; returns one configuration and the problems found.

    The configuration has the valid mocks and the models of all files in order. Of any other
    setting, the last value wins; a different one before it is a warning. A directory stands for its
    files (see `files_of`).
    """
    problems: list[Problem] = []
    read: list[tuple[str, Config]] = []
    for file in _files(paths, problems):
        found = FileData(None, ())
        try:
            found = read_file(file)
            read.append((str(file), Config.from_read(found.data, file=str(file))))
            problems += found.problems
        except ConfigError as exc:
            problems += found.with_others(exc.problems)
            read.append((str(file), _valid_mocks(found.data, file=str(file))))
    return _merged([config for _, config in read]), [*problems, *_contradictions(read)]


def files_of(path: Path) -> list[Path]:
    """Return the files that a path of the command line stands for: itself or, if it is a directory,
    its JSON and YAML files, sorted by name.

    Raises:
        OSError: the directory cannot be read.
    """
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)


def listed_files(*paths: str | Path) -> list[str]:
    """Return the files that the paths stand for, whether they can be read or not."""
    return [str(file) for file in _files(paths, [])]


def read_contents(*paths: str | Path, most: int) -> tuple[tuple[str, bytes], ...] | None:
    """Return the names and contents of the files that the paths stand for; None if one cannot be
    read, or is larger than `most` bytes."""
    problems: list[Problem] = []
    contents: list[tuple[str, bytes]] = []
    for file in _files(paths, problems):
        try:
            if not file.is_file() or file.stat().st_size > most:  # a pipe would block
                return None
            contents.append((str(file), file.read_bytes()))
        except (OSError, ValueError):
            return None
    return None if problems else tuple(contents)


def _files(paths: Iterable[str | Path], problems: list[Problem]) -> Iterator[Path]:
    for given in paths:
        if not str(given).strip():  # as a path, it is the current directory
            problems.append(Problem(Place(), f"expected the path of a file, found {given!r}"))
            continue
        path = Path(given)
        try:
            files = files_of(path)
        except OSError as exc:
            problems.append(Problem(Place(file=str(path)), f"cannot be read: {exc.strerror}"))
            continue
        if not files:
            problems.append(Problem(Place(file=str(path)), _NO_FILES))
        yield from files


def _valid_mocks(data: Any, *, file: str) -> Config:
    """The valid mocks and traffic of an invalid configuration, so that the review finds their other
    problems in the same run."""
    valid: dict[str, Any] = {}
    kinds: dict[str, Any] = {**MOCK_FIELDS, "traffic": Traffic}
    for field, kind in kinds.items():
        written = data.get(field) if isinstance(data, dict) else None
        valid[field] = []
        for index, entry in enumerate(written if isinstance(written, list) else ()):
            try:
                mock = kind.model_validate(entry)
            except ValidationError:
                continue
            mock.read_from(Place(file=file, field=field, position=index, name=mock.name))
            valid[field].append(mock)
    return Config.model_construct(**valid)


def _merged(configs: Sequence[Config]) -> Config:
    """Merge configurations into one. Each mock keeps the place that it was read from."""
    merged: dict[str, Any] = {}
    for config in configs:
        merged |= {name: getattr(config, name) for name in config.model_fields_set}
    for field in JOINED_FIELDS:
        merged[field] = [entry for config in configs for entry in getattr(config, field)]
    joined = Config.model_construct(**merged)
    for config in configs:
        if "latency" in config.model_fields_set:
            joined.keep_latency_place(config)
    return joined


def _contradictions(read: Iterable[tuple[str, Config]]) -> Iterator[Problem]:
    """Warn about settings that several files have with different values."""
    before: dict[str, tuple[str, Any]] = {}
    for file, config in read:
        for field in config.model_fields_set - {*JOINED_FIELDS}:
            value = getattr(config, field)
            if field in before and before[field][1] != value:
                earlier, other = before[field]
                message = (
                    f"{_shown(value)} replaces {_shown(other)} of {earlier}; the last file counts, "
                    "so keep one of them"
                )
                yield warning(Place(file=file, path=field), message)
            before[field] = (file, value)


def _shown(value: Any) -> str:
    plain = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
    return json.dumps(plain)

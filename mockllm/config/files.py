"""Reads configurations from files and directories."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mockllm.config.json_file import read_file
from mockllm.config.models import MOCK_FIELDS, Config
from mockllm.errors import ConfigError, Place, Problem


def read_files(*paths: str | Path) -> tuple[Config, list[Problem]]:
    """Read several files; returns one configuration and the problems found.

    The configuration has the valid mocks of all files in order. Of any other setting, the last
    value wins. A directory stands for its ``*.json`` files, sorted by name.
    """
    problems: list[Problem] = []
    configs: list[Config] = []
    for file in _files(paths, problems):
        data = None
        try:
            data = read_file(file)
            configs.append(Config.from_dict(data, file=str(file)))
        except ConfigError as exc:
            problems += exc.problems
            configs.append(_valid_mocks(data, file=str(file)))
    return _merged(configs), problems


def _files(paths: Iterable[str | Path], problems: list[Problem]) -> Iterator[Path]:
    for path in map(Path, paths):
        try:
            files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        except OSError as exc:
            problems.append(Problem(Place(file=str(path)), f"cannot be read: {exc.strerror}"))
            continue
        if not files:
            message = "expected a directory with *.json files, found none"
            problems.append(Problem(Place(file=str(path)), message))
        yield from files


def _valid_mocks(data: Any, *, file: str) -> Config:
    """The valid mocks of an invalid configuration, so that the review finds their other problems in
    the same run."""
    valid: dict[str, Any] = {}
    for field, kind in MOCK_FIELDS.items():
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
    for field in MOCK_FIELDS:
        merged[field] = [mock for config in configs for mock in getattr(config, field)]
    return Config.model_construct(**merged)

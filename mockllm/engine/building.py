"""Builds the engine of a configuration from any source: an object, a dict or files.

A test suite starts one server after the other with the same mocks, and to load these takes most of
a start: 0.07 ms each. So what was loaded is kept, by all that it was loaded from. It does not
change while it is served, so that servers may share it.
"""

from __future__ import annotations

import marshal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mockllm.bounded_cache import BoundedCache
from mockllm.config.files import read_contents
from mockllm.config.latency import Latency
from mockllm.config.models import Config
from mockllm.engine.engine import Engine
from mockllm.engine.loading import Loaded, load, load_config
from mockllm.engine.selection import Echo
from mockllm.limits import KIB

ConfigSource = Config | Mapping[str, Any] | str | Path
"""A configuration, a dict in the file's form, or the path of a file or a directory of files."""


def read_config(source: ConfigSource | Sequence[str | Path]) -> Config:
    """Return the configuration in `source`; several paths are merged in order.

    Raises:
        ConfigError: the configuration is invalid; lists every mistake.
    """
    if isinstance(source, Config):
        return source
    if isinstance(source, Mapping):
        return Config.from_dict(dict(source))
    if isinstance(source, (str, Path)):
        return load_config(source)
    return load_config(*source)


def build_engine(
    source: ConfigSource | Sequence[str | Path],
    *,
    require_auth: bool | None = None,
    cors: bool | None = None,
    latency: Latency | None = None,
    strict_config: bool = False,
    strict_requests: bool = False,
    echo: Echo | None = None,
    models: tuple[str, ...] = (),
    reuse: bool = True,
    quick_retries: bool = False,
    client_faults: bool = False,
) -> Engine:
    """Return the engine of a configuration. `require_auth`, `cors` and `latency` override its
    members unless they are None. The strict parameters are those of `load`. `echo` answers where no
    mock matches; `models` are listed beside those that the mocks name; `reuse` caches the matches
    of repeated requests; `quick_retries` has clients retry at once (`providers.failures.hurry`);
    with `client_faults`, clients may ask for errors, latencies and faults (`config.wishes`).

    Raises:
        ConfigError: the configuration cannot be served or, with `strict_config`, has warnings.
    """
    overrides = {"require_auth": require_auth, "cors": cors, "latency": latency}
    given = {name: value for name, value in overrides.items() if value is not None}
    options = tuple(
        each.model_dump_json() if isinstance(each, Latency) else each
        for each in (*overrides.values(), strict_config, strict_requests)
    )

    def load_anew(source: ConfigSource | Sequence[str | Path]) -> Loaded:
        config = read_config(source).model_copy(update=given)
        return load(config, strict_config=strict_config, strict_requests=strict_requests)

    return Engine(
        _load(source, options, load_anew),
        echo=echo,
        models=models,
        reuse=reuse,
        quick_retries=quick_retries,
        client_faults=client_faults,
    )


MAX_KEPT = 512 * KIB  # bytes of all sources; what is loaded takes about thirty times as much
MAX_SOURCE = 128 * KIB  # bytes of one

_kept = BoundedCache[Any, Loaded](MAX_KEPT)


def _load(
    source: ConfigSource | Sequence[str | Path],
    options: tuple[Any, ...],
    load_anew: Callable[[ConfigSource | Sequence[str | Path]], Loaded],
) -> Loaded:
    """Return what `load_anew` does with `source`, kept from an earlier call with equal `options` if
    nothing has changed."""
    content = _content_of(source)
    if content is None:
        return load_anew(source)
    key = (content, options)
    kept = _kept.get(key)
    if kept is not None:
        return kept
    if isinstance(content, bytes):
        # one of its own, because the caller may change theirs afterwards
        source = marshal.loads(content)  # noqa: S302  # written above
    loaded = load_anew(source)
    _kept.add(key, loaded, _size_of(content))
    return loaded


_Content = bytes | tuple[tuple[str, bytes], ...]


def _content_of(source: ConfigSource | Sequence[str | Path]) -> _Content | None:
    """Return all that a configuration in `source` is made from: of a dict its bytes, else the files
    with their names. None if it is more than data, large, or cannot be read."""
    if isinstance(source, Config):
        return None
    content: _Content
    if isinstance(source, Mapping):
        try:
            content = marshal.dumps(dict(source), 0)  # of the plain types only, each told apart
        except ValueError:  # it has a function, for example
            return None
    else:
        paths = [source] if isinstance(source, (str, Path)) else source
        read = read_contents(*paths, most=MAX_SOURCE)
        if read is None:
            return None
        content = read
    return content if _size_of(content) <= MAX_SOURCE else None


def _size_of(content: _Content) -> int:
    return len(content) if isinstance(content, bytes) else sum(len(data) for _, data in content)

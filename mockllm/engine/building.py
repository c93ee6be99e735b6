"""Builds the engine of a configuration from any source: an object, a dict or files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mockllm.config.latency import Latency
from mockllm.config.models import Config
from mockllm.engine.engine import Echo, Engine
from mockllm.engine.loading import load, load_config

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
    config = read_config(source).model_copy(update=given)
    loaded = load(config, strict_config=strict_config, strict_requests=strict_requests)
    return Engine(
        loaded,
        echo=echo,
        models=models,
        reuse=reuse,
        quick_retries=quick_retries,
        client_faults=client_faults,
    )

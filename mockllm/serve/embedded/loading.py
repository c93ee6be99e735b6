"""Loads the mocks of a server that a program starts."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mockllm.config.latency import Latency
from mockllm.engine.added import prepare
from mockllm.engine.building import ConfigSource, build_engine
from mockllm.engine.engine import Engine
from mockllm.serve.schema_folder import keep_schemas

MAX_LOGGED_WARNINGS = 50  # of a configuration; the number of the others is logged

logger = logging.getLogger("mockllm")


@dataclass(frozen=True, slots=True)
class MocksToLoad:
    """A configuration and what the arguments of the server change of it, as `build_engine` has
    them. If it `can_grow`, what adding mocks needs is loaded too."""

    config: ConfigSource
    strict_config: bool
    strict_requests: bool
    cors: bool | None
    latency: Latency | None
    quick_retries: bool
    can_grow: bool

    async def load(self) -> Engine:
        """Load the configuration in a thread, and log its warnings.

        Raises:
            ConfigError: the configuration cannot be served.
        """
        loader = ThreadPoolExecutor(1, "mockllm-load")  # the loop's own would keep its thread
        try:
            engine = await asyncio.get_running_loop().run_in_executor(loader, self._build)
            loader.shutdown()
        finally:
            loader.shutdown(wait=False)  # if it was cancelled
        for warning in engine.warnings[:MAX_LOGGED_WARNINGS]:
            logger.warning("%s", warning)
        more = len(engine.warnings) - MAX_LOGGED_WARNINGS
        if more > 0:
            logger.warning("%d more warnings; 'mockllm check' lists them all", more)
        return engine

    def _build(self) -> Engine:
        keep_schemas()
        if self.can_grow:
            prepare(strict_requests=self.strict_requests)
        return build_engine(
            self.config,
            cors=self.cors,
            latency=self.latency,
            strict_config=self.strict_config,
            strict_requests=self.strict_requests,
            quick_retries=self.quick_retries,
            client_faults=True,
        )

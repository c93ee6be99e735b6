"""Runs scripts in a Redis, by the official client, whose connections are those of one process.

A script is sent whole once, and by its hash from then on. A command is sent once: nobody knows of
one whose answer was lost whether it was performed.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from mockllm.errors import MissingExtraError
from mockllm.serve.distant.redis_address import PASSWORD_VARIABLE, RedisAddress
from mockllm.serve.patience import patience

if TYPE_CHECKING:
    import redis.asyncio

MAX_CONNECTIONS = 32  # of one process; questions beyond wait for one of them


class LinkError(Exception):
    """A script was not performed, or its answer was lost. The text is the reason."""


class RedisScript(NamedTuple):
    """The source of a script, and its hash."""

    source: str
    digest: str

    @classmethod
    def of(cls, source: str) -> RedisScript:
        """Return the script with this source."""
        return cls(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def require_redis() -> None:
    """Import redis-py.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import redis.asyncio  # noqa: F401  # only whether it is there
    except ImportError:
        raise MissingExtraError("servers that share state", "redis") from None


class RedisLink:
    """Runs scripts in the Redis at `address`, each within `timeout` seconds. It is used in one
    loop, and connects when it is needed."""

    def __init__(self, address: RedisAddress, *, password: str | None, timeout: float) -> None:
        self._key_prefix = f"{address.prefix}:"
        self._timeout = timeout
        self._pool = _pool(address, password)
        self._client = _client_of(self._pool)

    async def run(self, script: RedisScript, arguments: Sequence[bytes]) -> Any:
        """Return what `script` returns.

        Raises:
            LinkError: it was not performed in time, or its answer was lost.
        """
        key, client = self._key_prefix, self._client

        async def run() -> Any:
            import redis

            try:
                return await client.evalsha(script.digest, 1, key, *arguments)
            except redis.exceptions.NoScriptError:
                return await client.eval(script.source, 1, key, *arguments)

        return await self._within(self._timeout, run)

    async def wait_for_entry(self, streams: Mapping[str, int], seconds: float) -> bool:
        """Return True once one of some streams has an entry whose number is above the one given;
        False if none has come in so many seconds, which are less than the timeout of the link. The
        prefix comes before the names of streams.

        Raises:
            LinkError: Redis cannot be reached.
        """
        ids: Any = {f"{self._key_prefix}{name}": f"{last}-0" for name, last in streams.items()}
        block = max(int(1000 * seconds), 1)
        return bool(
            await self._within(self._timeout, lambda: self._client.xread(ids, count=1, block=block))
        )

    async def _within(self, seconds: float, ask: Callable[[], Awaitable[Any]]) -> Any:
        import redis

        try:
            async with patience(seconds):
                return await ask()
        except (TimeoutError, redis.TimeoutError):
            raise LinkError(f"no answer within {seconds:g} s") from None
        except (redis.RedisError, OSError) as exc:
            # where one connection was closed, those that are idle are too
            await self._disconnect(in_use=False)
            raise LinkError(_reason(exc)) from exc

    async def hear(self, channel: str) -> AsyncGenerator[bytes, None]:
        """Yield what is published in `channel`, whose name begins as all keys do.

        Raises:
            LinkError: it cannot be heard, or not any more.
        """
        import redis

        listener = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            async with patience(self._timeout):
                await listener.subscribe(f"{self._key_prefix}{channel}")
            while True:
                message = await listener.get_message(timeout=self._timeout / 2)
                if message is not None:
                    yield message["data"]
        except (redis.RedisError, OSError) as exc:
            raise LinkError(_reason(exc)) from exc
        finally:
            with contextlib.suppress(redis.RedisError, OSError):
                async with patience(self._timeout):
                    await listener.aclose()  # type: ignore[no-untyped-call]  # as redis-py has it

    async def close(self) -> None:
        """Close all connections."""
        await self._disconnect(in_use=True)

    async def _disconnect(self, *, in_use: bool) -> None:
        """Close connections, those that are idle and perhaps those that are not."""
        with contextlib.suppress(TimeoutError):
            async with patience(self._timeout):
                await self._pool.disconnect(inuse_connections=in_use)


def _pool(address: RedisAddress, password: str | None) -> redis.asyncio.BlockingConnectionPool:
    from redis.asyncio import BlockingConnectionPool, Connection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    kind: dict[str, Any] = {"connection_class": Connection}
    if address.is_tls:
        from mockllm.serve.distant.redis_connection import DividedConnection

        # redis-py before 6 does not compare the name of the host by itself
        kind = {"connection_class": DividedConnection, "ssl_check_hostname": True}
    return BlockingConnectionPool(
        **kind,
        max_connections=MAX_CONNECTIONS,
        timeout=None,  # times are those of `patience`
        host=address.host,
        port=address.port,
        db=address.database,
        username=address.username,
        password=password,
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(NoBackoff(), 0),
        client_name="mockllm",
    )


def _client_of(pool: redis.asyncio.BlockingConnectionPool) -> redis.asyncio.Redis:
    from redis.asyncio import Redis

    return Redis(connection_pool=pool)


def _reason(error: Exception) -> str:
    """Return the first line of an error's text, which names no password, or a better text."""
    import redis

    if isinstance(error, redis.AuthenticationError):
        return f"no password or a wrong one, expected in {PASSWORD_VARIABLE}"
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__

"""The parameters of the state that servers share, and the store of one of their workers."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass, field

from mockllm.app import App
from mockllm.serve.clock import Clock
from mockllm.serve.distant.redis_address import RedisAddress
from mockllm.serve.distant.redis_store import Member, RedisStore

STATE_TIMEOUT = 1.0  # seconds that a request waits for its state


def make_server_name() -> str:
    """Return a name that no other server has. It has no space."""
    host = "".join(socket.gethostname().split()) or "server"
    return f"{host}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """The state that a server shares with others, in the Redis at `address`. Times are in
    seconds."""

    address: RedisAddress
    password: str | None = field(default=None, repr=False)
    timeout: float = STATE_TIMEOUT
    allows_lost: bool = False
    """Let requests pass their rate limits while the state is lost."""
    any_config: bool = False
    """Share it with servers whose configuration differs."""
    server: str = field(default_factory=make_server_name)
    """The name of the server; its workers have the same."""

    def open(self, app: App, clock: Clock, slot: int, *, is_successor: bool) -> RedisStore:
        """Have `app` ask the state that is shared, and return the store, which is to be started.
        It is that of the worker in `slot`, whose own time is that of `clock`. Of those before it in
        its slot, none is alive unless it `is_successor`."""
        member = Member(
            self.server,
            f"{slot}-{secrets.token_hex(6)}",
            app.engine.fingerprint,
            replaced="" if is_successor else f"{slot}-",
            any_config=self.any_config,
            allows_lost=self.allows_lost,
            elapsed=clock.elapsed,
            speed=lambda: clock.speed,
        )
        store = RedisStore(
            self.address,
            member,
            password=self.password,
            timeout=self.timeout,
            gone=app.forget_session,
        )
        app.share_state(store, lambda: store.condition)
        return store

"""Handles by which a test opens the gates at which mocks hold their answers (`serve.gates`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from mockllm.config.fault import checked_gate_name
from mockllm.observers import verification
from mockllm.observers.journal import Record
from mockllm.serve.embedded.checks import WAIT, check_waiting, fail
from mockllm.serve.gates import Gates

T = TypeVar("T")


class Owner(Protocol):
    """The interface of `serve.embedded.verifiable.Verifiable` for its gates."""

    def _on_gates(self, act: Callable[[Gates, str | None], T]) -> T: ...

    def _read_if_kept(self) -> Record | None: ...

    def _has_stopped(self) -> bool: ...


class WaitingOwner(Owner, Protocol):
    """That of `serve.embedded.verifiable.SyncVerifiable`."""

    def _wait_for_gate(self, name: str, count: int, timeout: float) -> int: ...


class AsyncOwner(Owner, Protocol):
    """That of `serve.embedded.verifiable.AsyncVerifiable`."""

    async def _await_gate(self, name: str, count: int, timeout: float) -> int: ...  # noqa: ASYNC109  # it is the caller's


AnyOwner = TypeVar("AnyOwner", bound=Owner)


class AnyGate(Generic[AnyOwner]):
    """A gate of a server or of one of its sessions. Every method may be called from any thread."""

    def __init__(self, name: str, owner: AnyOwner) -> None:
        self.name = checked_gate_name(name)
        """The name, as ``hold`` of a fault has it."""
        self._owner = owner

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def release(self) -> None:
        """Let one answer go on: the one that has been held longest, or, if none is, the next one
        that comes.

        Raises:
            RuntimeError: the server is not started, or the session has ended.
        """
        self._owner._on_gates(lambda gates, session: gates.release(session, self.name))

    def open(self) -> None:
        """Let all answers go on, those that come later too. Raises like `release`."""
        self._owner._on_gates(lambda gates, session: gates.open(session, self.name))

    @property
    def held(self) -> int:
        """The number of answers that are held now. Raises like `release`."""
        return self._owner._on_gates(lambda gates, session: gates.held(session)[self.name])

    def _check(self, found: int, count: int, timeout: float) -> None:
        """Fail if fewer than `count` answers came."""
        __tracebackhide__ = True
        if found < count:
            record, is_stopped = self._owner._read_if_kept(), self._owner._has_stopped()
            name = self.name
            text = verification.not_reached(
                record, name, count, timeout, found, is_stopped=is_stopped
            )
            fail(text)


class Gate(AnyGate[WaitingOwner]):
    """A gate of a `Server` or a `Session`: holds the answers of mocks with ``hold``.

        llm_server.add(reply="Done", fault={"hold": "approval"})
        ...
        gate = llm_server.gate("approval")
        gate.reached()
        gate.release()

    A gate of a server is that of all its sessions.
    """

    def reached(self, n: int = 1, timeout: float = WAIT) -> None:
        """Wait until so many answers have come to the gate, held or not, since its session began.
        Fail after `timeout` seconds, or when the server stops. Raises like `release`."""
        __tracebackhide__ = True
        check_waiting(n, timeout, "a number of answers")
        self._check(self._owner._wait_for_gate(self.name, n, timeout), n, timeout)


class AsyncGate(AnyGate[AsyncOwner]):
    """A gate of an `AsyncServer` or an `AsyncSession`: like `Gate`, but what waits is awaited."""

    async def reached(self, n: int = 1, timeout: float = WAIT) -> None:  # noqa: ASYNC109  # a word of `Gate`
        """Wait until so many answers have come to the gate, held or not, since its session began.
        Fail after `timeout` seconds, or when the server stops. Raises like `release`."""
        __tracebackhide__ = True
        check_waiting(n, timeout, "a number of answers")
        self._check(await self._owner._await_gate(self.name, n, timeout), n, timeout)

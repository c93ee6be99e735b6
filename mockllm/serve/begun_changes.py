"""Changes that the control API has begun, and whose client waits until they are made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from mockllm.engine.changes import Change
from mockllm.engine.decision import Decision, Question, Wait
from mockllm.errors import RequestError

T = TypeVar("T")


class BegunChanges:
    """The changes that a process is making. A client that leaves does not end them halfway."""

    def __init__(self) -> None:
        self.tasks = set[asyncio.Task[Sequence[Change] | RequestError]]()

    async def finish(
        self, making: Coroutine[Any, Any, Sequence[Change] | RequestError]
    ) -> Sequence[Change] | RequestError:
        """Return the result of `making`, which goes on if nobody waits for it."""
        task = asyncio.create_task(making)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return await asyncio.shield(task)


def go_on_after(
    find: Callable[[], Awaitable[T | RequestError]], go_on: Callable[[T], Decision | Question]
) -> Question:
    """Return the question after which `go_on` follows with what `find` has found; an error that it
    has found is raised."""

    def resume(results: Sequence[Any]) -> Decision | Question:
        (found,) = results
        if isinstance(found, RequestError):
            raise found
        return go_on(found)

    return Question((Wait(find),), resume)

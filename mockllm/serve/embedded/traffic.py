"""Handles by which a test begins entries of traffic, and sets how fast the time of a server runs.

    server.traffic["outage"].start()

Whatever is changed holds for the requests that begin from then on, and belongs to the loop of the
server: whoever asks from another thread has it done there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from mockllm.errors import closest, did_you_mean
from mockllm.limits import MAX_SPEED, MIN_SPEED
from mockllm.serve.listening import Listening
from mockllm.serve.settings import Settings


class TrafficServer:
    """The part of a server that starts and stops entries of its traffic, and sets its speed."""

    _settings: Settings
    # while started
    _listening: Listening | None = None

    def _serving(self) -> Listening:
        """Return the started server, or raise the RuntimeError of `base_url`."""
        raise NotImplementedError

    @property
    def traffic(self) -> Mapping[str, TrafficHandle]:
        """The entries of `traffic` that have a name, to start and stop them.

        Raises:
            RuntimeError: as `base_url` does, when one of them is looked up.
        """
        return Entries(self)

    @property
    def speed(self) -> float:
        """How much faster than real time latencies and traffic are. It may be set: open answers
        follow at once, and no time that has passed is counted anew."""
        listening = self._listening
        if listening is not None:  # it may have been set over the control API
            return listening.clock.speed
        return self._settings.speed

    @speed.setter
    def speed(self, speed: float) -> None:
        check_speed(speed)
        self._settings = replace(self._settings, speed=speed)
        listening = self._listening
        if listening is not None:
            listening.run(lambda: setattr(listening.clock, "speed", speed))

    def _traffic_names(self) -> frozenset[str]:
        return self._serving().app.engine.traffic_names


class TrafficHandle:
    """The entries of traffic with one name, as a test starts and stops them."""

    def __init__(self, name: str, server: TrafficServer) -> None:
        self.name = name
        """The name in the configuration."""
        self._server = server

    def __repr__(self) -> str:
        return f"<TrafficHandle {self.name!r}>"

    def start(self) -> None:
        """Begin now: `from` and `to` are counted from this moment, whether it has begun before or
        not."""
        app = self._serving().app
        self._serving().run(lambda: app.traffic.start(self.name, app.elapsed()))

    def stop(self) -> None:
        """End now, until it is started or reset."""
        app = self._serving().app
        self._serving().run(lambda: app.traffic.stop(self.name))

    def reset(self) -> None:
        """Let it be as if it had never been started or stopped: counted from the start of the
        server."""
        app = self._serving().app
        self._serving().run(lambda: app.traffic.reset(self.name))

    @property
    def holds(self) -> bool:
        """True if it holds at this moment."""
        listening = self._serving()
        return listening.run(lambda: self.name in listening.app.engine.holding())

    def _serving(self) -> Listening:
        return self._server._serving()


class Entries(Mapping[str, TrafficHandle]):
    """The handles of the entries of traffic by name."""

    def __init__(self, server: TrafficServer) -> None:
        self._server = server

    def __getitem__(self, name: str) -> TrafficHandle:
        known = self._server._traffic_names()
        if name in known:
            return TrafficHandle(name, self._server)
        hint = did_you_mean(closest(name, known))
        raise KeyError(f"there is no traffic {name!r}{hint}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._server._traffic_names())

    def __len__(self) -> int:
        return len(self._server._traffic_names())

    def __repr__(self) -> str:
        return f"<Traffic {list(self)}>"


def check_speed(speed: object) -> None:
    """Refuse what is no speed.

    Raises:
        TypeError: it is not a number.
        ValueError: it is out of range.
    """
    if not isinstance(speed, (int, float)) or isinstance(speed, bool):
        raise TypeError(f"speed: expected a number, found {speed!r:.100}")
    if not MIN_SPEED <= speed <= MAX_SPEED:
        expected = f"expected at least {MIN_SPEED:g}, at most {MAX_SPEED:g}"
        raise ValueError(f"speed: {expected}, found {speed}")

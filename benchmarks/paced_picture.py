"""Draws what `benchmarks.paced_peer` has measured as an SVG: the CPU time of a token, and how far
the tokens drift from their pace, of each server and number of streams.

Both scales are logarithmic: a server that falls behind does so by seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import NamedTuple

from benchmarks.loads import AIMOCK, LIMIT, OURS
from benchmarks.picture import BAR, COLOURS, FONT, GAP, MARGIN, WIDTH
from benchmarks.servers import CONTENDERS

SERVERS = (LIMIT, OURS, AIMOCK)
TITLES: Mapping[str, str] = {
    LIMIT: "a loop that writes ready bytes",
    OURS: CONTENDERS[OURS].title,
    AIMOCK: CONTENDERS[AIMOCK].title,
}

LEFT = 120  # start of the first panel, after the numbers of streams
ROOM = 60  # space for the figures after the bars
BETWEEN = 16  # heights between two numbers of streams
TOP, BOTTOM = 92, 46


class Round(NamedTuple):
    """One round of one server: the CPU time of a token in microseconds, and the drift of the tokens
    in milliseconds. `load` is that of the machine, its runnable processes of the last minute."""

    server: str
    streams: int
    cpu_us: float
    drift_p50_ms: float
    drift_p99_ms: float
    drift_max_ms: float
    load: float


@dataclass(frozen=True, slots=True)
class _Panel:
    """Bars from `left` on, for the medians of one figure, which are between `low` and `high`."""

    title: str
    left: float
    width: float
    low: float
    high: float
    figures: Mapping[tuple[int, str], float]

    @classmethod
    def of(
        cls, title: str, left: float, width: float, figures: Mapping[tuple[int, str], float]
    ) -> _Panel:
        values = [value for value in figures.values() if value > 0]
        low = 10 ** math.floor(math.log10(min(values, default=1)))
        high = 10 ** math.ceil(math.log10(max(values, default=10)) + 0.01)
        return cls(title, left, width, low, high, figures)

    def x(self, value: float) -> float:
        """Return the x coordinate of a value; a value below the scale is at its beginning."""
        part = math.log10(max(value, self.low) / self.low) / math.log10(self.high / self.low)
        return self.left + part * self.width

    def grid(self, bottom: float) -> Iterator[str]:
        yield (
            f'<text x="{self.left}" y="{TOP - 30}" font-weight="600">{escape(self.title)}</text>'
        )
        power = round(math.log10(self.low))
        while 10**power <= self.high:
            x = self.x(10**power)
            yield (
                f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}" stroke="#d8dee4"/>'
                f'<text x="{x:.1f}" y="{TOP - 12}" text-anchor="middle" font-size="11" '
                f'fill="#57606a">{10**power:,g}</text>'
            )
            power += 1

    def bar(self, streams: int, server: str, y: float) -> str:
        value = self.figures[streams, server]
        end = self.x(value)
        weight = ' font-weight="600"' if server == OURS else ""
        return (
            f'<rect x="{self.left}" y="{y}" width="{max(end - self.left, 1):.1f}" height="{BAR}" '
            f'rx="1.5" fill="{COLOURS[server]}"/>'
            f'<text x="{end + 5:.1f}" y="{y + BAR - 2}" font-size="11"{weight}>'
            f"{_short(value)}</text>"
        )


def draw(rounds: Sequence[Round], caption: str) -> str:
    """Draw an SVG document with the medians of the rounds."""
    of_each: dict[tuple[int, str], list[Round]] = {}
    for one in rounds:
        of_each.setdefault((one.streams, one.server), []).append(one)
    width = (WIDTH - LEFT - 2 * ROOM) / 2
    cpu = {key: median(one.cpu_us for one in found) for key, found in of_each.items()}
    drift = {key: median(one.drift_p99_ms for one in found) for key, found in of_each.items()}
    panels = (
        _Panel.of("CPU time of a token (µs)", LEFT, width, cpu),
        _Panel.of("99 of 100 tokens drift by at most (ms)", LEFT + width + ROOM, width, drift),
    )
    bars: list[str] = []
    y = TOP
    for streams in sorted({streams for streams, _ in of_each}):
        servers = [server for server in SERVERS if (streams, server) in of_each]
        middle = y + len(servers) * (BAR + GAP) / 2
        bars.append(
            f'<text x="{LEFT - 12}" y="{middle + 3:.0f}" text-anchor="end">'
            f"{streams:,} streams</text>"
        )
        for server in servers:
            bars += [panel.bar(streams, server, y) for panel in panels]
            y += BAR + GAP
        y += BETWEEN
    bottom = y - BETWEEN
    height = bottom + BOTTOM
    known = [server for server in SERVERS if any(server == one.server for one in rounds)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
            f' font-family="{FONT}" font-size="12" fill="#24292f">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *_legend(known),
            *(line for panel in panels for line in panel.grid(bottom)),
            *bars,
            f'<text x="{MARGIN}" y="{height - 14}" fill="#57606a">{escape(caption)}</text>',
            "</svg>",
            "",
        ]
    )


def _legend(servers: Sequence[str]) -> Iterator[str]:
    x = MARGIN
    for server in servers:
        title = TITLES[server]
        yield (
            f'<rect x="{x}" y="18" width="12" height="12" rx="2" fill="{COLOURS[server]}"/>'
            f'<text x="{x + 17}" y="28">{escape(title)}</text>'
        )
        x += 40 + round(6.3 * len(title))


def _short(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"

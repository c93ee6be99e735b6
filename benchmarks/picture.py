"""Draws the CPU time per request as an SVG bar chart with a logarithmic scale.

Without a library, which bars and text do not need: the file stays small and its diffs readable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from benchmarks.loads import AIMOCK, ALL_SERVERS, FASTAPI, H11_LOOP, LIMIT, LOADS, OURS
from benchmarks.measure import Row
from benchmarks.servers import CONTENDERS

COLOURS: Mapping[str, str] = {
    LIMIT: "#b8bec6",
    OURS: "#1f6feb",
    H11_LOOP: "#8fb573",
    FASTAPI: "#e0a458",
    AIMOCK: "#c9655b",
}

WIDTH = 900
MARGIN = 20
LEFT = 290  # start of the bars, after the titles of the loads
RIGHT = 70  # space for the figures after the bars
BAR, GAP, BETWEEN = 13, 3, 16  # heights of a bar, between bars, between loads
TOP, BOTTOM = 84, 46
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"

TITLE = "CPU time of the server for one request (µs, log scale; less is better)"

Costs = Mapping[str, float]


def draw(rows: Sequence[Row], caption: str) -> str:
    """Draw an SVG document. Loads without a figure of mockllm are left out."""
    groups = {name: costs for name, costs in _costs(rows).items() if OURS in costs}
    values = [cost for costs in groups.values() for cost in costs.values()]
    low = 10 ** math.floor(math.log10(min(values, default=1)))
    high = 10 ** math.ceil(math.log10(max(values, default=10)) + 0.01)
    scale = _Scale(low, high)
    bars, bottom = _groups(groups, scale)
    height = bottom + BOTTOM
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
            f' font-family="{FONT}" font-size="12" fill="#24292f">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="{MARGIN}" y="28" font-size="16" font-weight="600">{TITLE}</text>',
            *_legend(groups),
            *_grid(scale, bottom),
            *bars,
            f'<text x="{MARGIN}" y="{height - 14}" fill="#57606a">{escape(caption)}</text>',
            "</svg>",
            "",
        ]
    )


class _Scale:
    """Maps microseconds to x coordinates, logarithmically."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = math.log10(low), math.log10(high)

    def x(self, value: float) -> float:
        part = (math.log10(value) - self._low) / (self._high - self._low)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def decades(self) -> Iterator[float]:
        return (10.0**power for power in range(round(self._low), round(self._high) + 1))


def _costs(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    costs: dict[str, dict[str, float]] = {}
    for row in rows:
        if row.figure is not None and row.figure.cpu_us > 0:
            costs.setdefault(row.load, {})[row.server] = row.figure.cpu_us
    return costs


def _groups(groups: Mapping[str, Costs], scale: _Scale) -> tuple[list[str], int]:
    """The bars of all loads from top to bottom, and the y coordinate of their end."""
    lines = []
    y = TOP
    for name, costs in groups.items():
        servers = [server for server in ALL_SERVERS if server in costs]
        middle = y + len(servers) * (BAR + GAP) / 2
        title = escape(LOADS[name].title)
        lines.append(f'<text x="{LEFT - 12}" y="{middle + 3:.0f}" text-anchor="end">{title}</text>')
        for server in servers:
            end = scale.x(costs[server])
            weight = ' font-weight="600"' if server == OURS else ""
            lines.append(
                f'<rect x="{LEFT}" y="{y}" width="{end - LEFT:.1f}" height="{BAR}" rx="1.5" '
                f'fill="{COLOURS[server]}"/>'
                f'<text x="{end + 5:.1f}" y="{y + BAR - 2}" font-size="11"{weight}>'
                f"{_short(costs[server])}</text>"
            )
            y += BAR + GAP
        y += BETWEEN
    return lines, y - BETWEEN


def _grid(scale: _Scale, bottom: int) -> Iterator[str]:
    for value in scale.decades():
        x = scale.x(value)
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 6}" y2="{bottom}" stroke="#d8dee4"/>'
            f'<text x="{x:.1f}" y="{TOP - 12}" text-anchor="middle" font-size="11" '
            f'fill="#57606a">{value:,.0f}</text>'
        )


def _legend(groups: Mapping[str, Costs]) -> Iterator[str]:
    x = MARGIN
    for server in ALL_SERVERS:
        if any(server in costs for costs in groups.values()):
            title = CONTENDERS[server].title
            yield (
                f'<rect x="{x}" y="40" width="12" height="12" rx="2" fill="{COLOURS[server]}"/>'
                f'<text x="{x + 17}" y="50">{escape(title)}</text>'
            )
            x += 40 + round(6.3 * len(title))


def _short(value: float) -> str:
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"

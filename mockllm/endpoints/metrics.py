"""``GET /metrics``: what was counted, in the text format of Prometheus, or that of OpenMetrics for
clients that accept it. Both are written by prometheus_client, in pieces: other requests are
answered meanwhile.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from mockllm.endpoints.bodies import endpoint_decision
from mockllm.endpoints.metric_families import MetricFamily, families
from mockllm.endpoints.vllm_metrics import vllm_families
from mockllm.engine.decision import Decision, DividedWork, Outcome, Question
from mockllm.errors import MissingExtraError, RequestError
from mockllm.exchange import Reply, Request
from mockllm.observers.lateness import Lateness
from mockllm.observers.metric_sums import Sums
from mockllm.pieces import Pieces
from mockllm.providers import envelope

METRICS = "/metrics"
MAX_SAMPLES = 100  # of a piece: 1 ms
_END = b"# EOF\n"  # of OpenMetrics
_OPENMETRICS = "application/openmetrics-text"
_PLAIN = ("text/plain", "text/*", "*/*")
"""The media ranges of the text format, the most specific first."""
_WEIGHT = re.compile(r";[ \t]*q=([01](?:\.[0-9]{0,3})?)[ \t]*(?:;|$)", re.ASCII | re.IGNORECASE)

Encode = Callable[[Any], bytes]


def require_metrics() -> None:
    """Check that metrics can be shown.

    Raises:
        MissingExtraError: prometheus_client is not installed.
    """
    try:
        import prometheus_client  # noqa: F401  # whether it is there
    except ImportError as exc:
        raise MissingExtraError("metrics", "metrics") from exc


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """The metrics of one server. `read` returns what was counted, `timing` how late the steps of
    paced answers were; with `vllm`, the names of vLLM are added."""

    read: Callable[[], Sums]
    timing: Callable[[], Lateness]
    vllm: bool = False

    def answer(self, request: Request) -> Question:
        """Return the question that makes the page.

        Raises:
            RequestError: 405.
        """
        if request.method not in ("GET", "HEAD"):
            allowed = ((b"allow", b"GET, HEAD"),)
            message = f"Not allowed to {request.method} on {METRICS}. Allowed: GET, HEAD."
            raise RequestError(405, message, headers=allowed)
        work = self._write(request.first_values.get(b"accept", b"").decode("ascii", "replace"))
        return Question((DividedWork(work),), lambda results: results[0])

    def _write(self, accept: str) -> Pieces[Decision]:
        from prometheus_client.exposition import choose_encoder

        encode, content_type = choose_encoder(_preferred(accept))
        sums = self.read()
        yield False
        shown = families(sums, self.timing())
        if self.vllm:
            shown = (*shown, *vllm_families(sums))
        written: list[bytes] = []
        for family in shown:
            for piece in _pieces(family):
                data = encode(_Registry(piece))
                written.append(_without_frame(data, is_first=piece.is_first))
                yield False
        if "openmetrics" in content_type:
            written.append(_END)
        headers = ((b"content-type", content_type.encode()), envelope.DATE)
        reply = Reply.whole(200, headers, b"".join(written))
        return endpoint_decision(reply, outcome=Outcome.PROBE)


def _preferred(accept: str) -> str:
    """Return the media ranges of an Accept header that are wanted, the most wanted first (RFC 9110,
    section 12.5.1), for an encoder that knows no weights. Without those of OpenMetrics if the text
    format is wanted more."""
    weights = [(each, _weight(each)) for each in accept.split(",")]
    wanted = sorted((each for each in weights if each[1] > 0), key=lambda each: -each[1])
    by_type = {_media_type(each): weight for each, weight in reversed(weights)}
    plain = next((by_type[each] for each in _PLAIN if each in by_type), 0.0)
    return ",".join(
        each for each, weight in wanted if weight >= plain or _media_type(each) != _OPENMETRICS
    )


def _media_type(accepted: str) -> str:
    return accepted.partition(";")[0].strip().lower()


def _weight(accepted: str) -> float:
    """Return the weight of a media range: 1 if it has none that is a number."""
    found = _WEIGHT.search(accepted)
    return float(found[1]) if found else 1.0


@dataclass(frozen=True, slots=True)
class _Piece:
    """Some of the samples of a family."""

    family: MetricFamily
    samples: list[Any]
    is_first: bool


def _pieces(family: MetricFamily) -> Iterator[_Piece]:
    samples = family.samples()
    for start in range(0, max(len(samples), 1), MAX_SAMPLES):
        yield _Piece(family, samples[start : start + MAX_SAMPLES], start == 0)


class _Registry:
    """What an encoder of prometheus_client reads metrics from."""

    def __init__(self, piece: _Piece) -> None:
        self._piece = piece

    def collect(self) -> Iterable[Any]:
        """Return the metric of a piece."""
        from prometheus_client.metrics_core import Metric

        family = self._piece.family
        metric = Metric(family.name, family.help, family.kind)
        metric.samples = self._piece.samples
        return [metric]


def _without_frame(data: bytes, *, is_first: bool) -> bytes:
    """Return what was encoded without the end of the page, and without the head of the family
    unless it is its first piece."""
    data = data.removesuffix(_END)
    if is_first:
        return data
    lines = data.splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(b"# "))

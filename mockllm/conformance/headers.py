"""Headers that meet the requirements of a match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from mockllm.conformance.requirements import Requirements
from mockllm.engine.review.impossible import CREDENTIALS, SAMPLES
from mockllm.matching.header_predicates import HeaderContains, HeaderEquals
from mockllm.providers.api import API

_UNJOINED = frozenset({b"host", b"content-length"})
"""Headers whose values have no spaces."""

HeaderPredicate = HeaderEquals | HeaderContains


def find_headers(api: API, requirements: Requirements) -> dict[str, str] | None:
    """Return headers with which `api` accepts a request and that meet all requirements on headers;
    None if none are found."""
    wanted: dict[bytes, list[HeaderPredicate]] = {}
    unwanted: dict[bytes, list[HeaderPredicate]] = {}
    for condition, holds in requirements:
        if isinstance(condition, (HeaderEquals, HeaderContains)):
            (wanted if holds else unwanted).setdefault(condition.name, []).append(condition)
    headers = dict(CREDENTIALS[api.vendor.name])
    for name in {**wanted, **unwanted}:
        values = _values(name, headers.pop(name, None), wanted.get(name, ()))
        found = [*_passing(values, wanted.get(name, ()), unwanted.get(name, ()))]
        if not found:
            return None
        headers |= {} if found[0] is None else {name: found[0]}
    return {name.decode(): value.decode() for name, value in headers.items()}


def _passing(
    values: Iterable[bytes | None],
    wanted: Sequence[HeaderPredicate],
    unwanted: Sequence[HeaderPredicate],
) -> Iterator[bytes | None]:
    """Yield those of `values`, of which None is no header, that meet the requirements."""
    for value in values:
        is_excluded = any(each.accepts(value) for each in unwanted)
        if not is_excluded and all(each.accepts(value) for each in wanted):
            yield value


def _values(
    name: bytes, usual: bytes | None, wanted: Sequence[HeaderPredicate]
) -> Iterator[bytes | None]:
    """Yield values that are likely to pass: an exact one, else all parts, added to a value that is
    accepted."""
    yield from (each.value for each in wanted if isinstance(each, HeaderEquals))
    if not wanted:
        yield usual
    first = usual if usual is not None else SAMPLES.get(name, b"any")
    parts = [each.value for each in wanted if isinstance(each, HeaderContains)]
    separator = b"" if name in _UNJOINED else b" "
    yield separator.join([first, *(part for part in parts if part not in first)])
    yield from (b"Bearer other", b"other", b"", None)

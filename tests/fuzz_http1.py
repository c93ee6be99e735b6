"""Fuzzes `mockllm.http1.HTTPConnection` with atheris (libFuzzer), from the inputs in `fuzz_corpus`:

    python tests/fuzz_http1.py --seconds 60 [FILE-TO-REPEAT ...]

For any bytes, only `HTTPError` is raised; the requests do not depend on how the bytes are split; a
closed connection returns no more requests; and cached heads change nothing. An input that breaks
one of these is written to the working directory as ``crash-*``; pass it as an argument to rerun it.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "fuzz_corpus"
MAX_LENGTH = 4096  # bytes of an input
MAX_SPLIT_SINGLY = 512  # bytes of an input that is fed byte by byte too

atheris: Any = importlib.import_module("atheris")  # not installed where types are checked
with atheris.instrument_imports(include=["mockllm.http1", "h11"]):
    from mockllm.errors import HTTPError
    from mockllm.exchange import Request
    from mockllm.http1.connection import HTTPConnection
    from mockllm.http1.head_cache import HeadCache
    from mockllm.limits import Limits

SMALL = Limits(head=512, headers=8, body=64)

Outcome = tuple[list[Request], int | None, bool]
"""The requests, the status of an error, and True if the connection has closed."""


def outcome(pieces: Iterable[bytes], heads: HeadCache, limits: Limits) -> Outcome:
    """Feed `pieces` to a new connection."""
    connection = HTTPConnection(heads, limits)
    requests: list[Request] = []
    try:
        for piece in pieces:
            connection.receive_data(piece)
            while (request := connection.next_request()) is not None:
                requests.append(request)
    except HTTPError as exc:
        assert connection.closes
        connection.receive_data(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        assert connection.next_request() is None
        return requests, exc.status, True
    return requests, None, connection.closes


def splits(data: bytes) -> Iterator[list[bytes]]:
    """Split `data` into halves, after each LF, after each CR, and into single bytes."""
    middle = len(data) // 2
    yield [data[:middle], data[middle:]]
    yield re.findall(rb"[^\n]*\n|[^\n]+", data)
    yield re.findall(rb"[^\r]*\r|[^\r]+", data)
    if len(data) <= MAX_SPLIT_SINGLY:
        yield [data[place : place + 1] for place in range(len(data))]


SHARED_CACHE = HeadCache()


def check(data: bytes) -> None:
    """Check everything that must be true of `data`.

    Raises:
        AssertionError: something is not true.
    """
    for limits in (Limits(), SMALL):
        whole = outcome([data], HeadCache(), limits)
        for pieces in splits(data):
            assert outcome(pieces, HeadCache(), limits) == whole, (pieces, limits)
    whole = outcome([data], HeadCache(), Limits())
    assert outcome([data], SHARED_CACHE, Limits()) == whole, "cached once"
    assert outcome([data], SHARED_CACHE, Limits()) == whole, "cached twice"


def main() -> None:
    """Fuzz for some seconds, or only repeat the files on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    for file in arguments.files or sorted(CORPUS.iterdir()):
        check(file.read_bytes())
    if arguments.files:
        return
    options = [f"-max_total_time={arguments.seconds}", f"-max_len={MAX_LENGTH}", "-timeout=10"]
    # libFuzzer writes interesting inputs to the first folder and only reads the second.
    found = Path.cwd() / ".fuzz_found"
    found.mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

"""A fuzz run of `mockllm.http1.HTTPConnection`, by atheris (libFuzzer) from the corpus beside it:

    python tests/fuzz_http1.py --seconds 60 [FILE-TO-REPEAT ...]

It holds, of any bytes: only `HTTPError` is raised; pieces give what the whole gives; a connection
that has closed gives no more; and what is remembered of other heads changes nothing. An input that
breaks this is written to the working directory as ``crash-*``; give it back as an argument.
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
LONGEST = 4096  # bytes of an input
MAX_SPLIT_SINGLY = 512  # bytes of an input that is fed byte by byte too

atheris: Any = importlib.import_module("atheris")  # it is not there where types are checked
with atheris.instrument_imports(
    include=["mockllm.http1", "mockllm.heads", "mockllm.framing", "h11"]
):
    from mockllm.errors import HTTPError
    from mockllm.exchange import Request
    from mockllm.http1.connection import HTTPConnection
    from mockllm.http1.head_cache import HeadCache
    from mockllm.limits import Limits

SMALL = Limits(head=512, headers=8, body=64)

Outcome = tuple[list[Request], int | None, bool]
"""The requests that were read, the status of a refusal, and whether the connection has closed."""


def outcome(pieces: Iterable[bytes], heads: HeadCache, limits: Limits) -> Outcome:
    """The outcome of `pieces` in a connection."""
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
    """`data` in pieces: halves, lines, between CR and LF, and single bytes."""
    middle = len(data) // 2
    yield [data[:middle], data[middle:]]
    yield re.findall(rb"[^\n]*\n|[^\n]+", data)
    yield re.findall(rb"[^\r]*\r|[^\r]+", data)
    if len(data) <= MAX_SPLIT_SINGLY:
        yield [data[place : place + 1] for place in range(len(data))]


REMEMBERING = HeadCache()


def check(data: bytes) -> None:
    """Raise AssertionError where something does not hold of `data`."""
    for limits in (Limits(), SMALL):
        whole = outcome([data], HeadCache(), limits)
        for pieces in splits(data):
            assert outcome(pieces, HeadCache(), limits) == whole, (pieces, limits)
    whole = outcome([data], HeadCache(), Limits())
    assert outcome([data], REMEMBERING, Limits()) == whole, "not remembered"
    assert outcome([data], REMEMBERING, Limits()) == whole, "remembered"


def main() -> None:
    """Run until the time is over, or repeat the files that are given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()
    for file in arguments.files or sorted(CORPUS.iterdir()):
        check(file.read_bytes())
    if arguments.files:
        return
    options = [f"-max_total_time={arguments.seconds}", f"-max_len={LONGEST}", "-timeout=10"]
    # libFuzzer writes what it finds worth keeping to the first folder, and reads the second
    found = Path.cwd() / ".fuzz_found"
    found.mkdir(exist_ok=True)
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()

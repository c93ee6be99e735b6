"""Answers, read from the bytes of a connection."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `headers` has each name once, in lower case; `whole` tells whether it ended as
    its framing says."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool = True

    @property
    def closes(self) -> bool:
        """True if it announces that the connection closes."""
        return "close" in self.headers.get("connection", "").lower()


_HEAD = re.compile(rb"HTTP/1\.1 ([0-9]{3}) [ -~]*\r\n((?:[!-9;-~]+: [ -~]*\r\n)*)\r\n")
_CHUNK = re.compile(rb"([0-9a-f]+)\r\n", re.IGNORECASE)


def read_answers(data: bytes, *, heads: Iterable[int] = ()) -> list[Answer]:
    """The answers in `data`; those whose place is in `heads` answer a HEAD request.

    Raises:
        ValueError: it is not a sequence of answers.
    """
    answers: list[Answer] = []
    finals = 0
    while data:
        match = _HEAD.match(data)
        if match is None:
            raise ValueError(f"no answer: {data[:200]!r}")
        lines = match[2].decode("ascii").splitlines()
        names = [line.partition(":")[0].lower() for line in lines]
        if len(names) != len(set(names)):
            raise ValueError(f"a header comes twice: {names}")
        headers = dict(zip(names, (line.partition(": ")[2] for line in lines), strict=True))
        status = int(match[1])
        rest = data[match.end() :]
        empty = status < 200 or status in (204, 304) or finals in heads
        finals += status >= 200
        body, data, whole = (b"", rest, True) if empty else _read_body(headers, rest)
        answers.append(Answer(status, headers, body, whole))
    return answers


def _read_body(headers: dict[str, str], data: bytes) -> tuple[bytes, bytes, bool]:
    """The body, what follows it, and whether it is whole."""
    if headers.get("transfer-encoding") == "chunked":
        return _read_chunks(data)
    if "content-length" not in headers:
        return data, b"", True
    length = int(headers["content-length"])
    return data[:length], data[length:], len(data) >= length


def _read_chunks(data: bytes) -> tuple[bytes, bytes, bool]:
    pieces: list[bytes] = []
    start = 0
    while (match := _CHUNK.match(data, start)) is not None:
        start = match.end() + int(match[1], 16) + 2
        if start > len(data) or data[start - 2 : start] != b"\r\n":
            break
        if match[1] == b"0":
            return b"".join(pieces), data[start:], True
        pieces.append(data[match.end() : start - 2])
    return b"".join(pieces), b"", False

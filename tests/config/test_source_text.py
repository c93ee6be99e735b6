"""The encoding of configuration files, and positions in them."""

from __future__ import annotations

import pytest

from mockllm.config.source_text import SourceError, decode, position


@pytest.mark.parametrize("content", [b"", b"a", "é\U0001f600".encode()])
def test_utf_8_is_decoded_with_and_without_its_mark(content: bytes) -> None:
    assert decode(content) == content.decode()
    assert decode(b"\xef\xbb\xbf" + content) == content.decode()


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_another_encoding_is_named(encoding: str) -> None:
    name = encoding.upper()[:6]
    with pytest.raises(SourceError, match=rf"^line 1 column 1: the file is {name}; save it as"):
        decode('{"a": 1}'.encode(encoding))


def test_a_byte_that_is_not_utf_8_has_its_position_in_characters() -> None:
    with pytest.raises(SourceError, match=r"^line 2 column 3: byte 0xE9 is not UTF-8 .*save it as"):
        decode(b"\xef\xbb\xbfa\n\xc3\xa9b\xe9")


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (0, "line 1 column 1"),
        (1, "line 1 column 2"),
        (2, "line 2 column 1"),
        (3, "line 3 column 1"),
    ],
)
def test_lines_and_columns_are_counted_from_1(offset: int, expected: str) -> None:
    assert position("a\n\nb", offset) == expected

"""Addresses as an operator writes them."""

from __future__ import annotations

import pytest
from pydantic_core import PydanticCustomError

from mockllm.config.address import MAX_PORT, checked_address, parse_address

VALID: list[tuple[str, str | None, int | None]] = [
    ("localhost:8000", "localhost", 8000),
    ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104  # parsed only
    (":8000", None, 8000),
    ("8000", None, 8000),
    ("localhost", "localhost", None),
    ("[::1]:8000", "::1", 8000),
    ("[::]:0", "::", 0),
    (f"a:{MAX_PORT}", "a", MAX_PORT),
    ("", None, None),
]
INVALID = [
    ":",
    "localhost:",
    "localhost:http",
    "localhost:-1",
    "localhost:+1",
    "localhost: 1",
    "localhost:8.0",
    "localhost:²",
    f"localhost:{MAX_PORT + 1}",
    f"{MAX_PORT + 1}",
    "9" * 5000,
    "http://localhost",
]


@pytest.mark.parametrize(("text", "host", "port"), VALID)
def test_an_address_is_split_into_host_and_port(
    text: str, host: str | None, port: int | None
) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize("text", INVALID)
def test_any_other_form_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_address(text)


def test_the_error_quotes_what_was_found() -> None:
    with pytest.raises(ValueError, match=r"^expected HOST:PORT, found 'localhost:http'$"):
        parse_address("localhost:http")


@pytest.mark.parametrize("text", [text for text, _, _ in VALID])
def test_an_address_in_a_configuration_is_kept_as_written(text: str) -> None:
    assert checked_address(text) == text


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_address_in_a_configuration_is_an_error_of_its_own_kind(text: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        checked_address(text)
    assert (caught.value.type, caught.value.message()) == ("address", "expected HOST:PORT")

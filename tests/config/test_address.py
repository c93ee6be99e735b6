"""Addresses as an operator writes them."""

from __future__ import annotations

import re

import pytest
from pydantic_core import PydanticCustomError

from mockllm.config.address import (
    MAX_PORT,
    checked_address,
    parse_address,
    parse_host,
    shown,
)

VALID: list[tuple[str, str | None, int]] = [
    ("localhost:8000", "localhost", 8000),
    ("0.0.0.0:80", "0.0.0.0", 80),  # noqa: S104  # parsed only
    (":8000", None, 8000),
    ("8000", None, 8000),
    ("[::1]:8000", "::1", 8000),
    ("[::]:0", "::", 0),
    ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ("bücher.example:80", "bücher.example", 80),
    ("my_host:80", "my_host", 80),
    (f"a:{MAX_PORT}", "a", MAX_PORT),
]
PORT = "a port is a number from 0 to 65535"
HOST = "the host is a name or an IP address, IPv6 in brackets"
UNIX = "a Unix socket is given with --uds PATH"
EXAMPLE = "for example, '127.0.0.1:8000'"
INVALID: list[tuple[str, str]] = [
    # no port
    ("127.0.0.1", "did you mean '127.0.0.1:8000'?"),
    ("localhost", "did you mean 'localhost:8000'?"),
    ("localhost:", "did you mean 'localhost:8000'?"),
    (":", "did you mean ':8000'?"),
    ("[::1]", "did you mean '[::1]:8000'?"),
    # IPv6 without brackets
    ("::1", "did you mean '[::1]:8000'?"),
    ("::", "did you mean '[::]:8000'?"),
    ("::1:9000", "did you mean '[::1]:9000'?"),
    ("fe80::1:2", "did you mean '[fe80::1:2]:8000'?"),
    # brackets of something else
    ("[::1", "did you mean '[::1]:8000'?"),
    ("::1]:80", "did you mean '[::1]:80'?"),
    ("[[::1]]:80", "did you mean '[::1]:80'?"),
    ("[localhost]:80", "did you mean 'localhost:80'?"),
    ("[]:80", "did you mean ':80'?"),
    ("[]", EXAMPLE),
    ("[", EXAMPLE),
    ("]", EXAMPLE),
    # other forms
    ("http://localhost", "did you mean 'localhost:8000'?"),
    ("https://[::1]:443/v1", "did you mean '[::1]:443'?"),
    ("unix:/run/a.sock", UNIX),
    ("/run/a.sock", UNIX),
    ("", EXAMPLE),
    (" ", EXAMPLE),
    (" localhost:80", "did you mean 'localhost:80'?"),
    ("localhost:80\n", "did you mean 'localhost:80'?"),
    # no such port
    ("localhost:http", PORT),
    ("localhost:-1", PORT),
    ("localhost:+1", PORT),
    ("localhost: 1", PORT),
    ("localhost:8.0", PORT),
    ("localhost:1_0", PORT),
    ("localhost:²", PORT),
    ("localhost:٨٠", PORT),
    ("٨٠٠٠", PORT),
    (f"localhost:{MAX_PORT + 1}", PORT),
    (f"{MAX_PORT + 1}", PORT),
    ("-1", PORT),
    ("9" * 5000, PORT),
    ("localhost:" + "9" * 5000, PORT),
    # no such host
    ("a\0b:80", HOST),
    ("a b:80", HOST),
    ("a:b:80", HOST),
    ("8000:8000", HOST),
    ("-a:80", HOST),
    ("a" * 300 + ":80", HOST),
]


@pytest.mark.parametrize(("text", "host", "port"), VALID)
def test_an_address_is_split_into_host_and_port(text: str, host: str | None, port: int) -> None:
    assert parse_address(text) == (host, port)


@pytest.mark.parametrize(("text", "remedy"), INVALID)
def test_any_other_form_is_an_error_of_one_line_with_its_remedy(text: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=r"^expected HOST:PORT, found '") as caught:
        parse_address(text)
    assert str(caught.value) == f"expected HOST:PORT, found {shown(text)}; {remedy}"
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


def test_suggested_addresses_are_valid() -> None:
    suggested = [found for _, remedy in INVALID for found in re.findall(r"'(.+)'", remedy)]
    assert suggested
    for address in suggested:
        parse_address(address)


@pytest.mark.parametrize("text", ["", *[text for text, _, _ in VALID]])
def test_an_address_in_a_configuration_is_kept_as_written(text: str) -> None:
    assert checked_address(text) == text


@pytest.mark.parametrize("text", [text for text, _ in INVALID if text])
def test_an_invalid_address_in_a_configuration_is_an_error_of_its_own_kind(text: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        checked_address(text)
    assert caught.value.type == "address"
    assert caught.value.message().startswith("expected HOST:PORT, found '")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "fe80::1%eth0", "a" * 253])
def test_a_host_is_kept_as_written(host: str) -> None:
    assert parse_host(host) == host


@pytest.mark.parametrize(
    ("host", "remedy"),
    [
        ("[::1]", "; did you mean '::1'?"),
        ("http://localhost", "; did you mean 'localhost'?"),
        ("localhost:80", "; did you mean 'localhost', and the port 80 by itself?"),
        ("[::1]:80", "; did you mean '::1', and the port 80 by itself?"),
        (" localhost", "; did you mean 'localhost'?"),
        ("8000", ""),
        ("", ""),
        (" ", ""),
        ("a b", ""),
        ("a\0", ""),
        ("/run/a.sock", ""),
        ("a" * 254, ""),
    ],
)
def test_what_is_no_host_is_an_error(host: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a host name") as caught:
        parse_host(host)
    expected = f"expected a host name or an IP address, found {shown(host)}{remedy}"
    assert str(caught.value) == expected

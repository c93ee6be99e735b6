"""The address of the state that servers share."""

from __future__ import annotations

import pytest

from mockllm.errors import MockLLMError
from mockllm.serve.distant.redis_address import (
    PASSWORD_VARIABLE,
    RedisAddress,
    given_password,
    parse_redis_address,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://localhost", RedisAddress("localhost")),
        ("redis://10.0.0.7:7000/3", RedisAddress("10.0.0.7", 7000, 3)),
        ("rediss://cache.example/", RedisAddress("cache.example", is_tls=True)),
        ("redis://[::1]:7000/0", RedisAddress("::1", 7000)),
        ("redis://reader@host", RedisAddress("host", username="reader")),
        ("redis://host?prefix=a:b", RedisAddress("host", prefix="a:b")),
        ("redis://host/1?prefix=ci-17", RedisAddress("host", database=1, prefix="ci-17")),
    ],
)
def test_an_address_has_a_host_a_database_and_a_prefix(text: str, address: RedisAddress) -> None:
    assert parse_redis_address(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "begins with redis:// or rediss://"),
        ("localhost:6379", "begins with redis:// or rediss://"),
        ("http://host", "begins with redis:// or rediss://"),
        ("redis://", "expected a host"),
        ("redis://:6379", "expected a host"),
        ("redis://host:port", "HOST:PORT"),
        ("redis://host:70000", "HOST:PORT"),
        ("redis://[::1", "HOST:PORT"),
        ("redis://host/state", "number of a database"),
        ("redis://host/0/1", "number of a database"),
        ("redis://host/٣", "number of a database"),
        ("redis://host/0#1", "number of a database"),
        ("redis://host?prefx=a", "did you mean 'prefix'"),
        ("redis://host?db=1", "the only parameter is 'prefix', found 'db'"),
        ("redis://host?prefix=a&prefix=b", "one prefix"),
        ("redis://host?prefix=", "1 to 100 printable"),
        ("redis://host?prefix=%C3%BC", "1 to 100 printable"),
        ("redis://host?prefix=" + "a" * 101, "1 to 100 printable"),
    ],
)
def test_a_wrong_address_names_the_remedy(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"expected|parameter") as caught:
        parse_redis_address(text)

    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "text", ["redis://:secret@host", "rediss://me:secret@host/0?prefix=a", "redis://me:@host"]
)
def test_a_password_belongs_into_the_environment_and_is_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match=PASSWORD_VARIABLE) as caught:
        parse_redis_address(text)

    assert "secret" not in str(caught.value)


def test_a_wrong_address_with_a_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="HOST:PORT") as caught:
        parse_redis_address("redis://:secret@host:port")

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["redis://host:6379/0?prefix=mockllm", "rediss://[::1]:7000/2?prefix=a"],
)
def test_an_address_is_shown_as_it_is_parsed(text: str) -> None:
    assert str(parse_redis_address(text)) == text


def test_a_user_is_not_shown() -> None:
    assert "reader" not in str(parse_redis_address("redis://reader@host"))


def test_the_password_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD_VARIABLE, raising=False)
    assert given_password() is None

    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    assert given_password() == "secret"

    monkeypatch.setenv(PASSWORD_VARIABLE, "")
    with pytest.raises(MockLLMError, match=PASSWORD_VARIABLE):
        given_password()

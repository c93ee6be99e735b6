"""Options of the command, and errors in them."""

from __future__ import annotations

import pytest

from mockllm.cli.main import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "http"], "--port"),
        (["--port", "65536"], "--port: expected 0 to 65535, found '65536'"),
        (["--listen-addr", "127.0.0.1:http"], "expected HOST:PORT, found '127.0.0.1:http'"),
        (["--listen-addr", "127.0.0.1:65536"], "expected HOST:PORT, found '127.0.0.1:65536'"),
        (["--listen-addr", "127.0.0.1:"], "expected HOST:PORT, found '127.0.0.1:'"),
        (["--workers", "0"], "--workers: expected 1 to 1024, found '0'"),
        (["--drain-timeout", "-1"], "--drain-timeout"),
        (["--drain-timeout", "nan"], "--drain-timeout"),
        (["--log-level", "loud"], "--log-level"),
        (["--confg", "a.json"], "--confg"),
        (["serve"], "serve"),
        (["check"], "FILE"),
    ],
)
def test_a_usage_error_names_the_option(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as info:
        main(words)
    output, errors = capsys.readouterr()
    assert info.value.code == 2
    assert output == ""
    assert told in errors


def test_help_lists_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(["--help"])
    assert info.value.code == 0
    help_text = capsys.readouterr().out
    words = ("--config", "--listen-addr", "--host", "--port", "--workers", "--strict", "check")
    assert [word for word in words if word not in help_text] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--reload"], "--reload needs --config"),
        (["--ssl-keyfile", "key.pem"], "--ssl-keyfile needs --ssl-certfile"),
        (["--uds", "a.sock", "--port", "1"], "--uds cannot be combined with"),
        (["--max-body", "0"], "--max-body: expected at least 1, found '0'"),
        (["--max-body", "much"], "--max-body: expected at least 1, found 'much'"),
        (["--keep-alive", "-1"], "--keep-alive: expected 0 or more, found '-1'"),
        (["--keep-alive", "nan"], "--keep-alive: expected 0 or more, found 'nan'"),
        (["--worker-timeout", "0"], "--worker-timeout: expected more than 0"),
    ],
)
def test_a_bad_value_or_combination_of_options_is_an_error(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2
    assert reason in capsys.readouterr().err

"""Options of the command, and errors in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mockllm.cli.main import main
from mockllm.cli.options import serve_options

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--port", "٨٠"], "--port: expected 0 to 65535, found '٨٠'"),
        (["--port", "9" * 5000], "--port: expected 0 to 65535, found '999"),
        (["--port", "-1"], "--port: expected 0 to 65535, found '-1'"),
        (["--host", ""], "--host: expected a host name or an IP address, found ''"),
        (["--host", "[::1]"], "found '[::1]'; did you mean '::1'?"),
        (["--host", "a\0b"], "found 'a\\x00b'"),
        (["--listen-addr", ""], "expected HOST:PORT, found ''; for example, '127.0.0.1:8000'"),
        (["--listen-addr", "127.0.0.1"], "did you mean '127.0.0.1:8000'?"),
        (["--listen-addr", "::1"], "found '::1'; did you mean '[::1]:8000'?"),
        (["--listen-addr", "localhost:" + "9" * 5000], "a port is a number from 0 to 65535"),
        (["--uds", ""], "--uds: expected a path, found ''"),
        (["--config", " "], "--config: expected a path, found ' '"),
        ([""], "FILE: expected a path, found ''"),
        (["--workers", "9" * 5000], "--workers: expected 1 to 1024, found '999"),
        (["--max-body", "9" * 5000], "--max-body: expected at least 1, found '999"),
        (["--max-body", "1025G"], "--max-body: expected at most 1024G, found '1025G'"),
        (["--max-body", "١"], "--max-body: expected at least 1, found '١'; a number, to which"),
        (["--keep-alive", "1e9"], "--keep-alive: expected at most 1,000,000 seconds, found '1e9'"),
        (["--keep-alive", "10s"], "found '10s'; a number of seconds, such as 0.5"),
        (["--confg=a\nb"], "unknown option '--confg'; did you mean --config?"),
        (["a.json", "--check"], "unknown option '--check'; did you mean 'mockllm check'?"),
        (["--\n"], "unknown option '--\\n'"),
        (["check", "--al", "a.json"], "unknown option '--al'; did you mean --all?"),
        (["schema", "a.json"], "unknown argument 'a.json'"),
        (["--port", "http"], "--port"),
        (["--port", "65536"], "--port: expected 0 to 65535, found '65536'"),
        (["--listen-addr", "127.0.0.1:http"], "expected HOST:PORT, found '127.0.0.1:http'"),
        (["--listen-addr", "127.0.0.1:65536"], "expected HOST:PORT, found '127.0.0.1:65536'"),
        (["--listen-addr", "127.0.0.1:"], "expected HOST:PORT, found '127.0.0.1:'"),
        (["--workers", "0"], "--workers: expected 1 to 1024, found '0'"),
        (["--drain-timeout", "-1"], "--drain-timeout"),
        (["--state", "localhost"], "--state: expected an address that begins with redis://"),
        (["--state", "redis://:pw@host"], "--state: a password here would be seen"),
        (["--state-timeout", "0"], "--state-timeout: expected more than 0"),
        (["--state-lost", "maybe"], "--state-lost: invalid choice: 'maybe'"),
        (["--state-lost", "allow"], "--state-lost needs --state"),
        (["--state-any-config"], "--state-any-config needs --state"),
        (["--drain-timeout", "nan"], "--drain-timeout"),
        (["--log-level", "loud"], "--log-level"),
        (["--confg", "a.json"], "--confg"),
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
    usage, line = errors.splitlines()  # no traceback, and no list of all the options
    assert told in line
    assert len(usage) < 60
    assert len(line) < 250


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
        (["--reload"], "--reload needs a FILE"),
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


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["chek", "mocks.json"], "'chek' is neither a file nor a command; did you mean 'mockllm"),
        (["shcema"], "'shcema' is neither a file nor a command; did you mean 'mockllm schema'?"),
        (["server"], "'server' is neither a file nor a command; did you mean 'mockllm serve'?"),
        (["help"], "'help' is neither a file nor a command; did you mean 'mockllm --help'?"),
        (["version"], "'version' is neither a file nor a command; did you mean 'mockllm --ver"),
        (["run", "mocks.json"], "'run' is neither a file nor a command (serve, check, schema)"),
        (["mocks.json", "check"], "the command 'check' must come first; a file of this name is g"),
        (["--port", "0", "serve"], "the command 'serve' must come first"),
        (["serve", "schema"], "the command 'schema' must come first"),
    ],
)
def test_a_misspelt_or_misplaced_command_is_named(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as info:
        main(words)
    assert info.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"mockllm: error: {told}")


@pytest.mark.parametrize("words", [["mocks.jsn"], ["./check"], ["--", "check"], ["./serve"]])
def test_a_name_that_is_no_command_is_a_file(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    file = words[-1].removeprefix("./")
    line = f"error: {file}: cannot be read: No such file or directory\n"
    assert capfd.readouterr() == ("", line)


def test_files_and_options_may_stand_in_any_order() -> None:
    options = serve_options(["a.json", "--config", "b.json", "./c", "--port", "1", "--", "check"])
    assert list(map(str, options.config)) == ["b.json", "a.json", "c", "check"]
    assert options.port == 1


def test_help_names_the_default_of_every_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    numbers = [
        *re.findall(r"--\S+ (?:SECONDS|BYTES|N|PORT) .*?(?= --[a-z-]+ [A-Z]| \w+:$|$)", text),
    ]
    assert len(numbers) >= 15
    assert [each for each in numbers if not re.search(r"default [0-9]", each)] == []


# --- Control --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "metrics", "files"),
    [
        (["a.json"], None, ["a.json"]),
        (["--metrics", "a.json"], "own", ["a.json"]),
        (["a.json", "--metrics"], "own", ["a.json"]),
        (["--metrics", "vllm", "a.json"], "vllm", ["a.json"]),
        (["--metrics=vllm", "a.json"], "vllm", ["a.json"]),
        (["--metrics", "./vllm"], "own", ["vllm"]),
        (["--metrics", "--", "vllm"], "own", ["vllm"]),
    ],
)
def test_metrics_take_no_file_but_vllm_for_their_value(
    words: list[str], metrics: str | None, files: list[str]
) -> None:
    options = serve_options(words)

    assert (options.metrics, [str(each) for each in options.config]) == (metrics, files)


def test_other_metrics_are_an_error(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        serve_options(["--metrics=vlm"])

    assert "expected --metrics or --metrics vllm, found 'vlm'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "control", "files"),
    [
        (["a.json"], None, ["a.json"]),
        (["--control", "a.json"], "token", ["a.json"]),
        (["a.json", "--control"], "token", ["a.json"]),
        (["--control=open", "a.json"], "open", ["a.json"]),
        (["--control", "--", "a.json"], "token", ["a.json"]),
    ],
)
def test_control_takes_no_file_for_its_value(
    words: list[str], control: str | None, files: list[str]
) -> None:
    options = serve_options(words)

    assert (options.control, [str(each) for each in options.config]) == (control, files)


def test_no_journal_needs_no_reader() -> None:
    assert serve_options(["--journal", "0"]).journal == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--control=opne"], "expected --control or --control=open, found 'opne'"),
        (["--control=sk-secret"], "expected --control or --control=open"),
        (["--control-templates"], "--control-templates needs --control"),
        (["--journal", "x"], "expected 0 to 10000000"),
        (["--journal", "5"], "--journal needs --control: only the control API reads"),
        (["--hold-for", "-1"], "expected 0 or more"),
    ],
)
def test_wrong_options_of_control_are_one_line(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        serve_options(words)

    assert told in capsys.readouterr().err

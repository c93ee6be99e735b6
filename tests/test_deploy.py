"""The Dockerfile, as far as it can be checked without Docker, and the dashboard without Grafana."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mockllm import Server
from mockllm.cli.options import serve_options
from tests.support.metrics import MeteredApp, Scraped
from tests.support.observed import SAME_REPLY, request
from tests.support.served import chat_request

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()


def instructions(name: str) -> list[str]:
    """The arguments of each instruction with this name."""
    return [line.removeprefix(f"{name} ") for line in LINES if line.startswith(f"{name} ")]


def test_the_image_is_built_from_all_that_the_project_needs() -> None:
    copied = [
        source
        for rest in instructions("COPY")
        for source in rest.split()[:-1]
        if not rest.startswith("--from=build ")
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert all((ROOT / source).exists() for source in copied)
    assert {"pyproject.toml", "mockllm", project["readme"], *project["license-files"]} <= set(
        copied
    )
    (install,) = instructions("RUN")
    assert '"/src[all]"' in install
    assert "all" in project["optional-dependencies"]


def test_the_command_is_executed_without_a_shell_which_would_keep_signals() -> None:
    (entry,), (defaults,) = instructions("ENTRYPOINT"), instructions("CMD")
    program, *arguments = json.loads(entry)

    options = serve_options([*arguments, *json.loads(defaults)])

    assert program == "mockllm"
    assert (options.host, options.port) == ("0.0.0.0", int(instructions("EXPOSE")[0]))  # noqa: S104  # as containers need
    assert instructions("USER") == ["65534:65534"]


def test_the_image_is_healthy_while_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    (check,) = instructions("HEALTHCHECK")
    python, option, code = json.loads(check[check.index("[") :])
    (port,) = instructions("EXPOSE")
    assert (python, option) == ("python", "-c")
    assert f":{port}/health'" in code

    def run(url: str) -> int:
        there = code.replace(f"http://127.0.0.1:{port}", url)
        done = subprocess.run([sys.executable, "-c", there], capture_output=True, check=False)
        return done.returncode

    with Server({"mocks": []}) as server:
        url = server.base_url
        assert run(url) == 0
    assert run(url) != 0


# --- the dashboard --------------------------------------------------------------------------------

DASHBOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]


@pytest.fixture(scope="module")
def scraped() -> Scraped:
    """The metrics of a server that was asked something."""
    metered = MeteredApp(SAME_REPLY)
    metered.ask(request("/v1/chat/completions", chat_request("weather", stream=True)))
    return metered.scrape()


def labels_in(expression: str) -> set[str]:
    """The labels by which an expression groups or selects."""
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    selected = re.findall(r"\{([^}]*)\}", expression)
    names = {name.strip() for each in grouped for name in each.split(",")}
    return names | {re.split("[=!]", part)[0] for each in selected for part in each.split(",")}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_of_the_dashboard_reads_metrics_that_exist(
    expression: str, scraped: Scraped
) -> None:
    names = re.findall(r"\bmockllm_\w+", expression)
    assert names
    for name in names:
        samples = [*scraped.samples(name)]
        assert samples
        known = {label for labels, _ in samples for label in labels} | {"instance"}
        assert labels_in(expression) <= known
    for opening, closing in ("()", "{}", "[]"):
        assert expression.count(opening) == expression.count(closing)
    for duration in re.findall(r"\[([^]]*)\]", expression):
        assert duration == "$__rate_interval"


def test_the_dashboard_has_no_two_panels_in_one_place() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) == 23
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["title"] and panel["description"] for panel in PANELS)


def test_the_dashboard_shows_every_metric(scraped: Scraped) -> None:
    shown = " ".join(EXPRESSIONS)

    assert [name for name in scraped.families if name not in shown] == []


def test_the_variables_of_the_dashboard_are_declared() -> None:
    declared = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(PANELS))) - {"__rate_interval"}

    assert used == declared

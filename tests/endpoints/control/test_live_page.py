"""The files of the live page: what they may not have, as far as no browser is needed."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from mockllm.endpoints.control.answers import POLICY
from tests.support.control import Controlled

HTML = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FILES = ("", "page.js", "page.css")


def read(path: str) -> str:
    told = Controlled().ask("GET", path, headers=HTML)
    assert told.status == 200
    text: str = told.value
    return text


class Elements(HTMLParser):
    """The elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.found if "id" in attributes]


@pytest.mark.parametrize(
    ("path", "kind"), [("", "text/html"), ("page.js", "text/javascript"), ("page.css", "text/css")]
)
def test_each_file_has_its_type_and_the_policy(path: str, kind: str) -> None:
    headers = Controlled().ask("GET", path, headers=HTML).headers

    assert headers["content-type"] == f"{kind}; charset=utf-8"
    assert headers["content-security-policy"] == POLICY.decode()
    assert headers["x-content-type-options"] == "nosniff"


def test_the_policy_has_no_exception() -> None:
    directives = dict(each.split(" ", 1) for each in POLICY.decode().split("; "))

    assert directives.pop("default-src") == "'none'"
    assert not [value for value in directives.values() if "unsafe" in value or "*" in value]
    assert directives["script-src"] == directives["style-src"] == "'self'"


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
def test_a_client_that_accepts_no_html_gets_json(accept: str) -> None:
    told = Controlled().ask("GET", "", headers={"accept": accept})

    assert told.headers["content-type"] == "application/json"
    assert told.value["routes"]


def test_no_script_or_style_is_in_the_page() -> None:
    elements = Elements(read("")).found
    scripts = [attributes for tag, attributes in elements if tag == "script"]

    assert [each["src"] for each in scripts] == ["/__mockllm/page.js"]
    assert re.search(r"<script[^>]*></script>", read(""))
    assert not [tag for tag, _ in elements if tag in ("style", "iframe", "object", "img", "base")]
    names = {name for _, attributes in elements for name in attributes}
    assert not [name for name in names if name.startswith("on") or name == "style"]


@pytest.mark.parametrize(
    "word",
    [
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("),
        *('setTimeout("', "javascript:", "DOMParser", "createContextualFragment", "srcdoc"),
    ],
)
def test_the_script_makes_no_markup_of_text(word: str) -> None:
    assert word not in read("page.js")


@pytest.mark.parametrize("path", FILES)
def test_nothing_is_loaded_from_elsewhere(path: str) -> None:
    urls = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", read(path))

    assert set(urls) <= {"http://www.w3.org/2000/svg"}  # a name, which is not loaded
    assert "@import" not in read(path)
    assert "url(" not in read(path)


def test_the_script_finds_what_it_looks_for() -> None:
    ids = Elements(read("")).ids()
    wanted = set(re.findall(r"\$\(\"([\w-]+)\"\)", read("page.js")))

    assert len(ids) == len(set(ids))
    assert wanted <= set(ids)
    assert len(wanted) > 20


def test_each_control_has_a_label() -> None:
    text = read("")
    labelled = set(re.findall(r'<label for="([\w-]+)"', text))
    wrapped = set(re.findall(r'<label>[^<]*<\w+ id="([\w-]+)"', text))
    controls = {
        attributes["id"]
        for tag, attributes in Elements(text).found
        if tag in ("input", "select", "textarea")
    }

    assert controls == labelled | wrapped

"""The live page in a browser: Chromium, which the system has, driven by playwright.

Screenshots are kept in the folder that MOCKLLM_SCREENSHOTS names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mockllm import Server
from mockllm.observers.journal import MAX_BODY
from tests.support.http_library import httpx
from tests.support.served import OPENAI_HEADERS, PATIENCE, chat_request

pytest.importorskip("playwright")

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

pytestmark = pytest.mark.filterwarnings("default")  # it is the library's business

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
CONFIG: dict[str, Any] = {
    "traffic": [{"name": "outage", "to": "1h", "match": {"user": "x"}, "error": "overloaded"}],
    "mocks": [
        {
            "name": "weather",
            "match": {"user": "How is the weather in Rome?"},
            "reply": {"text": "It is sunny in Rome", "reasoning": "They ask for the weather"},
            "latency": {"ttft": "20ms", "itl": "5ms"},
        },
        {
            "name": "flights",
            "match": {"user": {"contains": "flight"}},
            "reply": {"tool_calls": [{"name": "search", "arguments": {"to": "Oslo"}}]},
        },
        {"name": "script", "match": {"user": "next"}, "sequence": ["one", "two", "three"]},
        {
            "name": "held",
            "match": {"user": "hold"},
            "reply": "ok",
            "fault": {"hold": "approval", "after": "first_token"},
        },
        {"name": "repeats", "match": {"user": {"starts_with": "<"}}, "reply": {"generate": "echo"}},
    ],
}
HOSTILE = [
    "<script>window.broken = 1</script>",
    "<img src=x onerror='window.broken = 2'>",
    "<svg onload=window.broken=3><a href='javascript:window.broken=4'>x</a></svg>",
    "</pre></details><iframe srcdoc='<script>parent.broken=5</script>'>",
    "<h1 id=state>\u202e\u0000{{7*7}} ${window.broken=6}",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield launched
        launched.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(CONFIG, control=True) as server:
        yield server


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """The page of the server, opened by the link. Nothing may be wrong in its console."""
    with browser.new_context(viewport={"width": 1100, "height": 800}) as context:
        page = opened(context.new_page(), server)
        yield page
    assert page_errors(page) == []


def opened(page: Page, server: Server) -> Page:
    errors: list[str] = []
    page.errors = errors  # type: ignore[attr-defined,unused-ignore]  # read at the end
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: _check_console(said, errors))
    page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
    base_url = server.base_url
    page.on("request", lambda asked: _check_origin(asked.url, base_url, errors))
    page.set_default_timeout(PATIENCE * 1000)
    page.goto(f"{server.base_url}/__mockllm/#token={server.control_token}")
    return page


def page_errors(page: Page) -> list[str]:
    found: list[str] = page.errors  # type: ignore[attr-defined,unused-ignore]  # of `opened`
    return found


def _check_console(said: ConsoleMessage, errors: list[str]) -> None:
    if said.type == "error" and "the server responded with a status of 4" not in said.text:
        errors.append(said.text)


def _check_origin(url: str, base_url: str, errors: list[str]) -> None:
    if not url.startswith(f"{base_url}/__mockllm/"):
        errors.append(f"loads {url}")


def say(server: Server, text: str, *, session: str = "", **members: Any) -> int:
    prefix = f"/session/{session}" if session else ""
    return httpx.post(
        f"{server.base_url}{prefix}/v1/chat/completions",
        json=chat_request(text, **members),
        headers=OPENAI_HEADERS,
        timeout=PATIENCE,
    ).status_code


def go(page: Page, view: str) -> None:
    page.get_by_role("navigation").get_by_role("button", name=view).click()


def keep(page: Page, name: str) -> None:
    folder = os.environ.get("MOCKLLM_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_conversation_is_read_as_it_was_streamed(page: Page, server: Server) -> None:
    say(server, "How is the weather in Rome?", stream=True)
    say(server, "Find a flight", session="test-1")

    line = page.locator("summary", has_text="How is the weather in Rome?")
    line.click()
    answer = page.locator("li.answer", has_text="sunny")
    expect(answer.locator(".delta")).to_have_text(["It", " is", " sunny", " in", " Rome"])
    expect(
        page.get_by_role("img", name=re.compile("first byte after .* end after"))
    ).to_be_visible()
    answer.get_by_text("reasoning").click()
    expect(answer).to_contain_text("They ask for the weather")
    expect(page.get_by_role("heading", name="test-1")).to_be_visible()
    keep(page, "conversations")

    page.get_by_label("Session").select_option("test-1")
    expect(line).to_be_hidden()
    page.locator("summary", has_text="Find a flight").click()
    expect(page.locator("li.answer", has_text="search")).to_contain_text('{"to":"Oslo"}')


def test_a_stranger_finds_out_why_there_was_a_404_and_mends_it(page: Page, server: Server) -> None:
    assert say(server, "How is the weather in Roma?") == 404

    expect(page.locator("#unmatched-count")).to_have_text("1")
    go(page, "Unmatched")
    nearest = page.locator("table.sides").first
    expect(nearest.locator("mark")).to_have_text(["a", "e"])
    expect(page.get_by_role("heading", name="Nearest: weather")).to_be_visible()
    keep(page, "unmatched")

    draft = page.get_by_label("Make a mock of this")
    draft.fill(draft.input_value().replace("Write the answer here", "Sunny there too"))
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("Added: it answers the next request")).to_be_visible()
    assert say(server, "How is the weather in Roma?") == 200


AGENT: dict[str, Any] = {
    "role": "assistant",
    "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    ],
}


@pytest.mark.parametrize(
    ("messages", "condition"),
    [
        pytest.param(
            [
                {"role": "user", "content": "Find a flight to Oslo"},
                AGENT,
                {"role": "tool", "tool_call_id": "c1", "content": '{"seats": 3}'},
            ],
            {"tool_result": {"name": "search", "text": '{"seats": 3}'}},
            id="the result of a tool",
        ),
        pytest.param(
            [
                {"role": "user", "content": "Find a flight to Oslo"},
                AGENT,
                {"role": "tool", "tool_call_id": "c1", "content": ""},
            ],
            {"tool_result": {"name": "search"}},
            id="an empty result",
        ),
        pytest.param(
            [{"role": "system", "content": "Begin"}], {"system": "Begin"}, id="an instruction"
        ),
        pytest.param(
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}
                    ],
                }
            ],
            {"model": "gpt-4o"},
            id="an image",
        ),
    ],
)
def test_a_request_without_words_of_the_user_is_mended(
    page: Page, server: Server, messages: list[Any], condition: dict[str, Any]
) -> None:
    assert say(server, "", messages=messages, model="gpt-4o") == 404

    go(page, "Unmatched")
    draft = page.get_by_label("Make a mock of this")
    mock = json.loads(draft.input_value())
    assert {key: mock[key] for key in mock if key not in ("name", "reply")} == condition
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("Added: it answers the next request")).to_be_visible()
    assert say(server, "", messages=messages, model="gpt-4o") == 200


def test_no_mock_is_made_of_a_request_that_is_not_kept_whole(page: Page, server: Server) -> None:
    assert say(server, "x" * MAX_BODY) == 404

    go(page, "Unmatched")
    expect(page.locator("#misses article")).to_contain_text("too large to be kept whole")
    expect(page.get_by_role("button", name="Add it")).to_have_count(0)


def test_a_wrong_base_url_is_told_from_a_missing_mock(page: Page, server: Server) -> None:
    url = f"{server.base_url}/v1/v1/chat/completions"
    assert httpx.post(url, json=chat_request("hello"), timeout=PATIENCE).status_code == 404

    page.get_by_text("POST /v1/v1/chat/completions").click()
    expect(page.locator("#sessions")).to_contain_text(
        f"There is no such endpoint. Base URLs of clients: {server.base_url}/v1 for OpenAI"
    )


def test_mistakes_of_a_mock_are_told_beside_it(page: Page, server: Server) -> None:
    say(server, "nobody answers this")
    go(page, "Unmatched")

    page.get_by_label("Make a mock of this").fill('{"user": "x", "replyy": "y"}')
    page.get_by_role("button", name="Add it").click()

    expect(page.locator("article [role=status]")).to_contain_text("replyy")


def test_mocks_are_told_with_their_hits_and_what_is_left(page: Page, server: Server) -> None:
    say(server, "next")
    server.add(name="added", user="x", reply="y")
    go(page, "Mocks")

    script = page.locator("#mock-list li", has_text="script")
    expect(script).to_contain_text("1 request ·")
    expect(script).to_contain_text("1 answer given, next is entry 2 of 3")
    keep(page, "mocks")
    page.get_by_role("button", name="Begin sequences anew").click()
    expect(script).to_contain_text("0 answers given, next is entry 1 of 3")
    page.get_by_role("button", name="Remove added").click()
    expect(page.get_by_role("heading", name="added")).to_have_count(0)


def test_gates_and_traffic_are_there_to_click(page: Page, server: Server) -> None:
    go(page, "Gates and traffic")
    with httpx.stream(
        "POST",
        f"{server.openai_base_url}/chat/completions",
        json=chat_request("hold", stream=True),
        headers=OPENAI_HEADERS,
        timeout=PATIENCE,
    ) as answer:
        expect(page.get_by_text("1 answer is held")).to_be_visible()
        keep(page, "gates")
        page.get_by_role("button", name="Open approval").click()
        assert b"[DONE]" in answer.read()

    outage = page.locator("#traffic-list li", has_text="outage")
    expect(outage).to_contain_text("holds now")
    page.get_by_role("button", name="Stop outage").click()
    expect(outage).to_contain_text("does not hold now")
    assert say(server, "x") == 404
    page.get_by_role("button", name="Start outage").click()
    expect(outage).not_to_contain_text("does not hold now")
    assert say(server, "x") == 503
    page.get_by_label("Latencies are").fill("10")
    page.get_by_role("button", name="Set", exact=True).click()
    page.get_by_label("Latencies are").blur()
    expect(page.get_by_label("Latencies are")).to_have_value("10")


def test_curves_are_told_in_words_too(page: Page, server: Server) -> None:
    expect(page.get_by_role("status").first).to_contain_text("a second")
    for _ in range(3):
        say(server, "How is the weather in Rome?", stream=True)
    go(page, "Curves")

    charts = page.locator("#charts svg")
    expect(charts).to_have_count(3)
    expect(charts.nth(1)).to_have_attribute("aria-label", re.compile(r"half of them: [\d.]+ ms"))
    expect(charts.nth(2)).to_have_attribute("aria-label", re.compile(r"late by at most: [\d.]+ ms"))
    expect(page.locator("#timing")).to_contain_text("3 paced answers")
    keep(page, "curves")


def test_hostile_words_stay_words(page: Page, server: Server) -> None:
    for text in HOSTILE:
        say(server, text, model=text)
    say(server, "nobody " + HOSTILE[1])
    summaries = page.locator("#sessions .calls > li > details > summary")
    expect(summaries).to_have_count(len(HOSTILE) + 1)
    for summary in summaries.all():
        summary.click()
    for text in HOSTILE[:4]:
        expect(page.locator("#sessions li.user pre", has_text=text).first).to_be_visible()
        expect(
            page.locator("#sessions li.answer", has_text=text.split(" ")[0]).first
        ).to_be_visible()
    go(page, "Unmatched")
    expect(page.locator("#misses article")).to_contain_text([HOSTILE[1]])

    assert page.evaluate("window.broken") is None
    assert page.locator("main script, main img, main iframe, main a").count() == 0
    assert page.locator("#state").count() == 1
    keep(page, "hostile")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone(browser: Browser, server: Server, scheme: Any) -> None:
    phone: Any = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    with browser.new_context(**phone) as context:
        page = opened(context.new_page(), server)
        say(server, "How is the weather in Roma? " + "x" * 300)
        say(server, "How is the weather in Rome?", stream=True)
        page.locator("#sessions summary", has_text="How is the weather in Rome?").click()
        for view in ("Conversations", "Unmatched", "Mocks", "Gates and traffic", "Curves"):
            go(page, view)
            expect(page.locator("main > section:visible")).to_have_count(1)
            keep(page, f"phone-{scheme}-{view.split()[0].lower()}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360

        assert contrasts(page) == []
    assert page_errors(page) == []


CONTRAST = """() => {
  const light = (text) => {
    const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((c) => c / 255)
      .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const wrong = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own) continue;
    let behind = element;
    const clear = "rgba(0, 0, 0, 0)";
    while (behind && getComputedStyle(behind).backgroundColor === clear) {
      behind = behind.parentElement;
    }
    const back = light(behind ? getComputedStyle(behind).backgroundColor : "rgb(255, 255, 255)");
    const text = light(getComputedStyle(element).color);
    const ratio = (Math.max(back, text) + 0.05) / (Math.min(back, text) + 0.05);
    if (ratio < 4.5) wrong.push(element.tagName + " " + element.className + " " + ratio.toFixed(2));
  }
  return wrong;
}"""


def contrasts(page: Page) -> list[str]:
    """The elements whose text has too little contrast (WCAG 2.2, 1.4.3)."""
    found: list[str] = page.evaluate(CONTRAST)
    return found


def test_it_is_used_with_the_keyboard_alone(page: Page, server: Server) -> None:
    say(server, "How is the weather in Roma?")
    expect(page.locator("#unmatched-count")).to_have_text("1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(3):
        page.keyboard.press("Tab")  # Pause, Conversations, Unmatched
    page.keyboard.press("Enter")
    expect(page.get_by_role("region", name="Unmatched requests")).to_be_visible()
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "TEXTAREA":
            break
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Added: it answers the next request")).to_be_visible()


def test_the_token_is_asked_for_and_stays_in_no_address(browser: Browser, server: Server) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(f"{server.base_url}/__mockllm/")
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("alert").first).to_have_text(
            "The token is not valid for this server."
        )
        page.get_by_label("Token").fill(server.control_token)
        page.get_by_role("button", name="Continue").click()
        expect(page.get_by_role("status").first).to_contain_text("a second")
        expect(page.get_by_label("Token")).to_be_hidden()

        page.goto(f"{server.base_url}/__mockllm/#token={server.control_token}")
        page.reload()
        expect(page.get_by_role("status").first).to_contain_text("a second")
        assert page.url == f"{server.base_url}/__mockllm/"
        assert server.control_token not in str(page.evaluate("JSON.stringify({...localStorage})"))


def test_the_token_of_a_session_shows_that_session_alone(browser: Browser, server: Server) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        with server.session("mine") as session:
            page.goto(f"{server.base_url}/__mockllm/#token={session.control_token}")
            say(server, "next", session="mine")
            say(server, "Find a flight", session="other")
            expect(page.get_by_role("heading", name="mine")).to_be_visible()
            assert page.get_by_text("Find a flight").count() == 0


def test_of_a_load_the_page_asks_for_a_few_calls(page: Page, server: Server) -> None:
    page.get_by_role("button", name="Pause").click()
    with httpx.Client(headers=OPENAI_HEADERS, timeout=PATIENCE) as client:
        for number in range(250):
            body = chat_request("Find a flight", user=str(number))
            client.post(f"{server.openai_base_url}/chat/completions", json=body)

    def asks_for(latest: int) -> Callable[[Request], bool]:
        return lambda request: request.url.endswith(f"&latest={latest}")

    with page.expect_request(asks_for(20)):
        page.get_by_role("button", name="Continue").click()
    with page.expect_request(asks_for(100)):  # as soon as the load is over
        pass
    expect(page.locator("#passed")).to_contain_text("150 further calls are not shown")


def test_a_load_leaves_the_page_small(page: Page, server: Server) -> None:
    with httpx.Client(headers=OPENAI_HEADERS, timeout=PATIENCE) as client:
        for number in range(1_200):
            text = "next" if number % 4 else "nobody answers this"
            body = chat_request(text, user=str(number))
            client.post(f"{server.openai_base_url}/chat/completions", json=body)
    expect(page.get_by_role("status").first).to_contain_text("1,200 calls")
    expect(page.locator("#sessions li[data-number='1200']")).to_have_count(1)

    assert page.locator("#sessions .calls > li").count() <= 200
    assert page.locator("#misses article").count() <= 50
    expect(page.locator("#passed")).to_contain_text("further calls are not shown")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#no-calls")).to_be_visible()

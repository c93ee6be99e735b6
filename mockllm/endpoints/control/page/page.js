// The live page of mockllm. Everything that a server has had is written as text, never as markup.
"use strict";

const BASE = "/__mockllm/";
const INTERVAL = 1000; // milliseconds between two looks at the server
const MAX_CALLS = 200; // that are shown
const LATEST = 100, LATEST_OF_MANY = 20; // that are asked for; nobody reads more of thousands
const MAX_UNMATCHED = 50;
const MAX_SEEN = 10000; // numbers of calls that may come again
const MAX_POINTS = 300; // of a curve: five minutes
const MAX_LEFT = 200000; // characters of one text on the page

const $ = (id) => document.getElementById(id);

// --- elements -------------------------------------------------------------------------------------

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "text") element.textContent = value;
    else if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  for (const child of children.flat()) if (child !== null && child !== undefined) element.append(child);
  return element;
}

const pre = (text) => make("pre", { text: text.length > MAX_LEFT ? text.slice(0, MAX_LEFT) + " …" : text });
const json = (value) => JSON.stringify(value, null, 2);
const named = (session) => session || "common session";
const say = (text) => { $("message").textContent = text; };

function facts(entries) {
  const shown = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return make("dl", { class: "facts" }, shown.map(([name, value]) =>
    make("div", {}, make("dt", { text: name }), make("dd", { text: String(value) }))));
}

function milliseconds(seconds) {
  const value = seconds * 1000;
  return (value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en")) + " ms";
}

// --- the server -----------------------------------------------------------------------------------

let bearer = null; // the token of a session, which buys no cookie

class Refused extends Error {
  constructor(status, body) {
    const error = (body && body.error) || {};
    const problems = (error.problems || []).map((each) => (each.place ? each.place + ": " : "") + each.message);
    super([error.message || "The server answered " + status, ...problems].join("\n"));
    this.status = status;
  }
}

async function ask(method, path, body) {
  const options = { method, headers: {}, cache: "no-store", credentials: "same-origin" };
  if (bearer) options.headers.Authorization = "Bearer " + bearer;
  if (method !== "GET") {
    options.headers["Content-Type"] = "application/json";
    options.body = typeof body === "string" ? body : JSON.stringify(body || {});
  }
  const answer = await fetch(BASE + path, options);
  const type = answer.headers.get("content-type") || "";
  const value = type.startsWith("application/json") ? await answer.json() : null;
  if (!answer.ok) throw new Refused(answer.status, value);
  return value;
}

async function act(method, path, body, done) {
  try {
    await ask(method, path, body);
    say("");
    if (done) done();
    await refresh();
  } catch (error) {
    say(error.message);
  }
}

// --- login ----------------------------------------------------------------------------------------

async function enter(token) {
  try {
    await ask("POST", "login", { token });
    return true;
  } catch (error) {
    if (error.status !== 401) throw error;
  }
  bearer = token;
  try {
    await ask("GET", "watch?latest=0");
    return true;
  } catch (error) {
    bearer = null;
    if (error.status !== 401) throw error;
    return false;
  }
}

async function enterByLink() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  history.replaceState(null, "", location.pathname); // so that it stays in no history
  if (!(await enter(token))) askForToken("The token of the link is not valid for this server.");
}

function askForToken(text) {
  if ($("login").hidden) {
    $("login").hidden = false;
    $("token").focus();
  }
  $("login-error").textContent = text || "";
  $("state").textContent = "A token is needed";
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    if (await enter($("token").value)) {
      $("login").hidden = true;
      $("token").value = "";
      await look();
    } else askForToken("The token is not valid for this server.");
  } catch (error) {
    askForToken(error.message);
  }
});

// --- views ----------------------------------------------------------------------------------------

const VIEWS = ["conversations", "unmatched", "mocks", "gates", "curves"];
let view = "conversations";

function show(name) {
  view = name;
  for (const each of VIEWS) $(each).hidden = each !== name;
  for (const button of document.querySelectorAll("nav button")) {
    if (button.dataset.view === name) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  refresh().catch((error) => say(error.message));
}

for (const button of document.querySelectorAll("nav button")) {
  button.addEventListener("click", () => show(button.dataset.view));
}

async function refresh() {
  if (view === "mocks") await showMocks();
  if (view === "gates") await showGates();
  if (view === "curves") drawCurves();
}

// --- conversations --------------------------------------------------------------------------------

const calls = []; // what is shown, the oldest first: {call, element}

function statusOf(call) {
  const kind = call.is_unmatched || call.status >= 500 ? "bad" : call.status >= 400 ? "warn" : "good";
  return make("span", { class: "status " + kind, text: String(call.status) });
}

function summaryOf(call) {
  const time = new Date(call.started * 1000);
  const mock = call.mock ? make("span", { text: call.mock })
    : make("span", { class: "bad", text: "[" + call.outcome + "]" });
  return make("summary", {}, make("span", { class: "line" },
    make("time", { datetime: time.toISOString(), class: "soft", text: time.toLocaleTimeString("en-GB") }),
    statusOf(call), mock,
    make("span", { class: "soft", text: call.model || call.method + " " + call.path }),
    call.attempt > 1 ? make("span", { class: "warn", text: "attempt " + call.attempt }) : null,
    call.delivery !== "complete" ? make("span", { class: "warn", text: call.delivery.replace("_", " ") }) : null,
    make("span", { class: "soft", text: milliseconds(call.ended - call.started) }),
    make("span", { text: call.words })));
}

function elementOf(call) {
  const body = make("div");
  const details = make("details", { toggle: () => {
    if (details.open && !body.hasChildNodes()) fill(body, "calls/" + call.number, callBody);
  } }, summaryOf(call), body);
  return make("li", { "data-number": call.number }, details);
}

async function fill(place, path, build) {
  place.replaceChildren(make("p", { class: "note", text: "Loading" }));
  try {
    place.replaceChildren(...build(await ask("GET", path)));
  } catch (error) {
    place.replaceChildren(make("p", { class: "bad", text: error.message }));
  }
}

function callBody(call) {
  const listed = [];
  if (call.system) listed.push(message("system", [pre(call.system)]));
  for (const each of call.messages) {
    const parts = each.texts.map(pre);
    for (const called of each.calls) parts.push(make("p", {}, "calls ", make("code", { text: called.name }), " ", make("span", { class: "soft", text: called.id })));
    if (each.result) parts.unshift(make("p", { class: each.result.error ? "bad" : "soft", text: "result of " + (each.result.name || each.result.call_id) + (each.result.error ? ", an error" : "") }));
    listed.push(message(each.result ? "tool" : each.role, parts));
  }
  listed.push(answerOf(call));
  return [
    timingOf(call),
    facts([
      ["API", call.api], ["model", call.model], ["session", named(call.session)], ["mock", call.mock],
      ["outcome", call.outcome], ["delivery", call.delivery], ["attempt", call.attempt],
      ["turn", call.turn], ["tokens in", call.input_tokens], ["tokens out", call.output_tokens],
      ["tools", call.tools.join(", ")], ["traffic", call.traffic.join(", ")],
      ["asked for", call.asked_for.join(", ")], ["held at", call.held_at], ["why", whyOf(call)],
    ]),
    make("ol", { class: "messages" }, listed),
    make("details", {}, make("summary", { text: "Request" }), pre(call.method + " " + call.path),
      pre(json(call.headers)), pre(call.is_body_cut ? "The body was too large to be kept." : json(call.body))),
    call.traceback ? make("details", {}, make("summary", { text: "Traceback" }), pre(call.traceback)) : null,
  ].filter((each) => each !== null);
}

function whyOf(call) {
  if (call.outcome !== "not found") return call.near_miss;
  const root = location.origin + (call.session ? "/session/" + call.session : "");
  return "There is no such endpoint. Base URLs of clients: " + root + "/v1 for OpenAI, " + root + " for Anthropic.";
}

function message(role, parts) {
  return make("li", { class: role }, make("span", { class: "role", text: role }), parts);
}

function answerOf(call) {
  const parts = [];
  const reply = call.reply;
  if (!reply) parts.push(make("p", { class: call.status >= 400 ? "bad" : "soft", text: "answered " + call.status }));
  else {
    for (const text of reply.reasoning) parts.push(make("details", {}, make("summary", { text: "reasoning" }), pre(text)));
    reply.texts.forEach((text, at) => {
      const deltas = reply.deltas[at];
      if (!deltas || deltas.length > 2100) parts.push(pre(text));
      else parts.push(make("pre", { title: deltas.length + " deltas" }, deltas.map((delta) => make("span", { class: "delta", text: delta }))));
    });
    for (const called of reply.calls) parts.push(make("div", {}, "calls ", make("code", { text: called.name }), pre(called.arguments)));
    if (reply.vectors) parts.push(make("p", { text: reply.vectors + " embeddings" }));
    if (reply.is_cut) parts.push(make("p", { class: "note", text: "The answer is longer than what is shown." }));
  }
  return make("li", { class: "answer" }, make("span", { class: "role", text: call.stream ? "answer, streamed" : "answer" }), parts);
}

function timingOf(call) {
  const whole = Math.max(call.ended - call.started, 1e-6), first = Math.min(Math.max(call.ttft, 0), whole);
  const text = "first byte after " + milliseconds(first) + ", end after " + milliseconds(whole);
  const wait = make("div", { class: "wait" }), send = make("div", { class: "send" });
  wait.style.width = 100 * first / whole + "%";
  send.style.width = 100 - 100 * first / whole + "%";
  return make("div", {}, make("div", { class: "bar", role: "img", "aria-label": text }, wait, send), make("p", { class: "soft", text }));
}

function listOf(session) {
  for (const each of $("sessions").children) if (each.dataset.session === (session || "")) return each;
  const section = make("section", { "data-session": session || "" },
    make("h2", { text: named(session) }), make("ol", { class: "calls" }));
  $("sessions").append(section);
  $("session").append(make("option", { value: session || "", text: named(session) }));
  return section;
}

function addCalls(added) {
  for (const call of added) {
    const element = elementOf(call);
    calls.push({ call, element });
    listOf(call.session).lastElementChild.prepend(element);
    element.hidden = !isWanted(call);
  }
  while (calls.length > MAX_CALLS) removeCall(calls.shift());
  $("no-calls").hidden = calls.length > 0;
}

function removeCall({ element }) {
  const section = element.closest("section");
  element.remove();
  if (section.lastElementChild.hasChildNodes()) return;
  for (const option of [...$("session").options]) if (option.value === section.dataset.session) option.remove();
  section.remove();
}

function isWanted(call) {
  const chosen = $("session").value, words = $("find").value.trim().toLowerCase();
  if (chosen !== "*" && chosen !== (call.session || "")) return false;
  const text = [call.words, call.mock, call.model, call.status, call.outcome, call.path].join(" ").toLowerCase();
  return words.split(/\s+/).every((word) => text.includes(word));
}

function choose() {
  for (const { call, element } of calls) element.hidden = !isWanted(call);
  for (const section of $("sessions").children) {
    section.hidden = [...section.lastElementChild.children].every((each) => each.hidden);
  }
}

$("session").addEventListener("change", choose);
$("find").addEventListener("input", choose);
$("clear").addEventListener("click", () => act("DELETE", "calls", {}, forget));

function forget() {
  while (calls.length) removeCall(calls.shift());
  $("misses").replaceChildren();
  noteUnmatched();
  $("no-calls").hidden = false;
  $("passed").textContent = "";
}

// --- unmatched ------------------------------------------------------------------------------------

function addUnmatched(call) {
  const body = make("div");
  const details = make("details", { toggle: () => {
    if (details.open && !body.hasChildNodes()) explain(body, call);
  } }, summaryOf(call), make("p", { class: "bad", text: call.near_miss || "" }), body);
  const list = $("misses");
  const article = make("article", { class: "miss", "data-number": call.number }, details);
  list.prepend(article);
  while (list.children.length > MAX_UNMATCHED) list.lastElementChild.remove();
  noteUnmatched();
}

function noteUnmatched() {
  const count = $("misses").children.length;
  $("unmatched-count").textContent = count ? String(count) : "";
  $("no-unmatched").hidden = count > 0;
}

async function explain(place, call) {
  place.replaceChildren(make("p", { class: "note", text: "Loading" }));
  try {
    const [whole, found] = await Promise.all([
      ask("GET", "calls/" + call.number), ask("GET", "calls/" + call.number + "/misses"),
    ]);
    if (whole.is_body_cut) {
      place.replaceChildren(make("p", { class: "note", text: "This request is too large to be kept whole, so it cannot be compared here, and no mock can be made of it." }));
      return;
    }
    place.replaceChildren(
      ...found.misses.map((miss) => missOf(whole, miss)),
      ...(found.misses.length ? [] : [make("p", { class: "note", text: "There is no mock of this API to compare with." })]),
      makeMock(whole),
      make("details", {}, make("summary", { text: "The whole call" }), callBody(whole)));
  } catch (error) {
    place.replaceChildren(make("p", { class: "bad", text: error.message }));
  }
}

function missOf(call, miss) {
  const rows = Object.entries(miss.match || {}).map(([key, wanted]) => {
    const [left, right] = sides(askedFor(call, key), wanted);
    return make("tr", {}, make("th", { scope: "row", text: key }),
      make("td", { "data-side": "asked" }, left), make("td", { "data-side": "wanted" }, right));
  });
  const table = make("table", { class: "sides" },
    make("caption", { class: "skip", text: "What was asked beside what " + miss.mock + " wants" }),
    make("thead", {}, make("tr", {}, make("th", { scope: "col", text: "" }), make("th", { scope: "col", text: "asked" }), make("th", { scope: "col", text: "wanted" }))),
    make("tbody", {}, rows));
  return make("section", {}, make("h3", { text: "Nearest: " + miss.mock }),
    make("ul", {}, miss.reasons.map((reason) => make("li", { class: "bad", text: reason }))),
    rows.length ? table : null);
}

function askedFor(call, key) {
  const body = call.body && typeof call.body === "object" ? call.body : {};
  if (key === "message") return (body.messages || []).slice(-1)[0];
  if (key === "headers") return call.headers;
  if (key === "body") return body;
  if (key === "tool_result") return lastResults(call);
  if (["user", "text", "system", "model", "stream", "turn", "step", "tools", "api", "session"].includes(key)) return call[key];
  return body[key];
}

function lastResults(call) {
  const messages = call.messages || [];
  let start = messages.length;
  while (start && messages[start - 1].role !== "assistant") start -= 1;
  return messages.slice(start).filter((message) => message.result).map((message) => ({
    ...(message.result.name ? { name: message.result.name } : {}),
    ...(message.texts.length === 1 && message.texts[0] ? { text: message.texts[0] } : {}),
  }));
}

function sides(asked, wanted) {
  let plain = wanted;
  if (wanted && typeof wanted === "object" && typeof wanted.content === "string" && asked && typeof asked.content === "string") {
    const [left, right] = sides(asked.content, wanted.content);
    return [[make("span", { class: "soft", text: (asked.role || "") + " " }), left], [make("span", { class: "soft", text: (wanted.role || "") + " " }), right]];
  }
  if (typeof asked === "string" && typeof plain === "string") {
    if (asked === plain) return [pre(asked), pre(plain)];
    let start = 0, end = 0;
    const least = Math.min(asked.length, plain.length);
    while (start < least && asked[start] === plain[start]) start += 1;
    while (end < least - start && asked[asked.length - 1 - end] === plain[plain.length - 1 - end]) end += 1;
    return [marked(asked, start, end), marked(plain, start, end)];
  }
  const text = (value) => (value === undefined || value === null || value === "" ? "nothing" : typeof value === "string" ? value : json(value));
  const left = text(asked), right = text(plain);
  if (left === right) return [pre(left), pre(right)];
  return [pre(left), make("pre", {}, make("mark", { text: right }))];
}

function marked(text, start, end) {
  const middle = text.slice(start, text.length - end) || "∅";
  return make("pre", {}, text.slice(0, start), make("mark", { text: middle }), end ? text.slice(text.length - end) : "");
}

function mockFor(call) {
  const name = "new mock " + call.number;
  if (call.api === "embeddings") {
    const input = call.body && call.body.input;
    return { openai_embeddings: [{ name, match: { input }, response: { data: [{ embedding: [0.1, 0.2, 0.3] }] } }] };
  }
  return { name, ...conditionOf(call), reply: "Write the answer here" };
}

function conditionOf(call) {
  if (call.user) return { user: call.user };
  const [result] = lastResults(call).slice(-1);
  if (result && (result.name || result.text)) return { tool_result: result };
  if (call.system && !call.system.includes("\n")) return { system: call.system };
  return call.model ? { model: call.model } : {};
}

function makeMock(call) {
  const id = "mock-of-" + call.number;
  const text = make("textarea", { id, spellcheck: "false" });
  text.value = json(mockFor(call));
  const note = make("p", { class: "note", role: "status" });
  const target = call.session ? "mocks?session=" + encodeURIComponent(call.session) : "mocks";
  return make("section", {}, make("h3", {}, make("label", { for: id, text: "Make a mock of this" })), text,
    make("div", { class: "tools" },
      make("button", { type: "button", text: "Add it", click: async () => {
        note.className = "note";
        try {
          await ask("POST", target, text.value);
          note.textContent = "Added: it answers the next request like this one.";
          note.classList.add("good");
        } catch (error) {
          note.textContent = error.message;
          note.classList.add("bad");
        }
      } }),
      make("button", { type: "button", text: "Copy", click: async () => {
        text.select();
        try {
          await navigator.clipboard.writeText(text.value);
          note.textContent = "Copied.";
        } catch {
          note.textContent = "Selected: copy it with the keyboard.";
        }
      } })), note);
}

// --- mocks ----------------------------------------------------------------------------------------

function keep(list, items, keyOf, build, update) {
  const known = new Map([...list.children].map((each) => [each.dataset.key, each]));
  const elements = items.map((item) => {
    const element = known.get(keyOf(item)) || build(item);
    element.dataset.key = keyOf(item);
    update(element, item);
    return element;
  });
  const same = elements.length === list.children.length && elements.every((each, at) => list.children[at] === each);
  if (!same) list.replaceChildren(...elements);
}

function leftOf(progress) {
  if (!progress) return "";
  const given = progress.given + (progress.given === 1 ? " answer given" : " answers given");
  const next = progress.due === null ? "none is left" : "next is entry " + progress.due + " of " + progress.entries;
  return given + ", " + next;
}

async function showMocks() {
  const page = await ask("GET", "mocks?limit=" + MAX_CALLS);
  keep($("mock-list"), page.mocks, (each) => each.id, (each) =>
    make("li", {}, make("h3", { text: each.name }), make("p", { class: "numbers" }),
      make("details", {}, make("summary", { text: "Show" }), pre(json(each.mock))),
      each.is_added ? make("button", { type: "button", text: "Remove " + each.name, click: () =>
        act("DELETE", "mocks/" + encodeURIComponent(each.id) + (each.session ? "?session=" + encodeURIComponent(each.session) : "")) }) : null),
  (element, each) => {
    const hits = each.requests + (each.requests === 1 ? " request" : " requests");
    const words = [hits, each.apis.join(", "), leftOf(each.progress), each.session ? "session " + each.session : "", each.is_added ? "added" : ""];
    element.querySelector(".numbers").textContent = words.filter(Boolean).join(" · ");
  });
  $("more-mocks").textContent = page.more ? "These are the first " + page.mocks.length + " mocks." : page.mocks.length ? "" : "There are no mocks.";
}

$("reset").addEventListener("click", () => act("POST", "reset"));

// --- gates and traffic ----------------------------------------------------------------------------

let held = {};

async function showGates() {
  const gates = Object.keys(held).sort();
  $("no-gates").hidden = gates.length > 0;
  keep($("gate-list"), gates, (name) => name, (name) =>
    make("li", {}, make("h3", { text: name }), make("p", { class: "numbers" }), make("div", { class: "tools" },
      make("button", { type: "button", text: "Release one at " + name, click: () => act("POST", "gates/" + encodeURIComponent(name) + "/release") }),
      make("button", { type: "button", text: "Open " + name, click: () => act("POST", "gates/" + encodeURIComponent(name) + "/open") }))),
  (element, name) => {
    element.querySelector(".numbers").textContent = held[name] + (held[name] === 1 ? " answer is held" : " answers are held");
  });
  const [traffic, speed] = await Promise.all([ask("GET", "traffic"), ask("GET", "speed")]);
  $("no-traffic").hidden = traffic.traffic.length > 0;
  keep($("traffic-list"), traffic.traffic, (each) => each.id, (each) => {
    const path = "traffic/" + encodeURIComponent(each.name);
    const button = (word, label) => make("button", { type: "button", text: label + " " + each.name, click: () => act("POST", path + "/" + word) });
    return make("li", {}, make("h3", { text: each.name || each.id }), make("p", { class: "numbers" }), pre(json(each.entry)),
      each.name ? make("div", { class: "tools" }, button("start", "Start"), button("stop", "Stop"), button("reset", "Reset")) : null);
  }, (element, each) => {
    element.querySelector(".numbers").textContent = each.holds ? "holds now" : "does not hold now";
  });
  if (document.activeElement !== $("speed")) $("speed").value = speed.speed;
}

$("speed-form").addEventListener("submit", (event) => {
  event.preventDefault();
  act("PUT", "speed", { speed: Number($("speed").value) });
});

// --- curves ---------------------------------------------------------------------------------------

const points = []; // {rate, ttft50, ttft95, late}
let before = null; // the last look

function quantile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function lateness(timing, earlier) {
  const bounds = timing.late_up_to_ms, counts = timing.late_counts.map((count, at) => count - earlier.late_counts[at]);
  const steps = timing.steps - earlier.steps;
  if (steps <= 0) return null;
  const at = counts.findIndex((count) => count >= steps * 0.99);
  return at < 0 ? timing.late_ms.max : bounds[at];
}

function addPoint(look) {
  if (before !== null && look.time > before.time) {
    const seconds = look.time - before.time;
    const added = look.total === null ? look.calls.length + look.skipped : look.total - before.total;
    const ttft = look.calls.filter((call) => call.status < 400).map((call) => call.ttft * 1000);
    points.push({
      rate: Math.max(added, 0) / seconds, ttft50: quantile(ttft, 0.5), ttft95: quantile(ttft, 0.95),
      late: lateness(look.timing, before.timing),
    });
    while (points.length > MAX_POINTS) points.shift();
  }
  before = look;
}

const CURVES = [
  { id: "rate", title: "Calls a second", unit: "", lines: [["rate", "calls a second", "first"]] },
  { id: "ttft", title: "Time to first byte, of the calls that are shown", unit: " ms", lines: [["ttft50", "half of them", "first"], ["ttft95", "19 of 20", "second"]] },
  { id: "late", title: "Lateness of paced answers: 99 of 100 steps", unit: " ms", lines: [["late", "late by at most", "first"]] },
];

function drawCurves() {
  const NS = "http://www.w3.org/2000/svg";
  for (const curve of CURVES) {
    const values = curve.lines.flatMap(([key]) => points.map((point) => point[key])).filter((value) => value !== null);
    const top = Math.max(...values, 1e-9);
    const svg = document.createElementNS(NS, "svg");
    svg.setAttribute("viewBox", "0 0 " + (MAX_POINTS - 1) + " 100");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    const legend = [];
    for (const [key, label, kind] of curve.lines) {
      const line = document.createElementNS(NS, "polyline");
      const from = MAX_POINTS - points.length;
      line.setAttribute("class", kind);
      const places = points.map((point, at) => [from + at, point[key]]).filter(([, value]) => value !== null);
      if (places.length === 1) places.unshift([places[0][0] - 2, places[0][1]]); // one point has no line
      line.setAttribute("points", places.map(([x, value]) => x + "," + (97 - 94 * value / top).toFixed(1)).join(" "));
      svg.append(line);
      const last = points.map((point) => point[key]).filter((value) => value !== null).pop();
      const now = last === undefined ? "nothing yet" : Number(last.toPrecision(3)).toLocaleString("en") + curve.unit;
      legend.push(make("span", { class: kind, text: label + ": " + now }));
    }
    const most = values.length ? Number(top.toPrecision(3)).toLocaleString("en") + curve.unit : "nothing yet";
    svg.setAttribute("aria-label", curve.title + ", at most " + most + "; " + legend.map((each) => each.textContent).join("; "));
    const figure = make("figure", { id: "curve-" + curve.id }, make("figcaption", { text: curve.title }), svg,
      make("p", { class: "legend" }, legend, make("span", { class: "soft", text: "at most " + most })));
    const old = $("curve-" + curve.id);
    if (old) old.replaceWith(figure);
    else $("charts").append(figure);
  }
  const timing = before && before.timing;
  $("timing").textContent = timing && timing.requests
    ? timing.requests + (timing.requests === 1 ? " paced answer, " : " paced answers, ") + timing.steps + " steps; late by " + timing.late_ms.p99 + " ms (p99): " + timing.verdict
    : "No answer was paced yet.";
}

// --- looking --------------------------------------------------------------------------------------

const seen = new Set();
let after = 0, latest = LATEST, passed = 0, pausing = false, failures = 0;

async function look() {
  const found = await ask("GET", "watch?after=" + after + "&latest=" + latest);
  if (found.total !== null && found.total < after) { // the server was started anew
    after = 0;
    before = null;
    seen.clear();
    forget();
    return;
  }
  after = found.next;
  passed += found.skipped;
  latest = found.skipped > LATEST ? LATEST_OF_MANY : LATEST;
  held = found.held;
  $("login").hidden = true;
  addPoint(found);
  const added = found.calls.filter((call) => !seen.has(call.number)); // while some are missing, some come again
  for (const call of added) seen.add(call.number);
  for (const number of seen) if (number <= after - MAX_SEEN) seen.delete(number); else break;
  addCalls(added);
  for (const call of added) if (call.is_unmatched) addUnmatched(call);
  const newest = document.querySelector("#misses details");
  if (newest && !document.querySelector("#misses details[open]")) newest.open = true;
  $("passed").textContent = passed ? passed.toLocaleString("en") + " further calls are not shown here." : "";
  const rate = points.length ? points[points.length - 1].rate : 0;
  const total = found.total === null ? "" : found.total.toLocaleString("en") + (found.total === 1 ? " call, " : " calls, ");
  const text = total + rate.toFixed(rate < 10 ? 1 : 0) + " a second";
  if ($("state").textContent !== text) $("state").textContent = text;
  await refresh();
}

$("pause").addEventListener("click", () => {
  pausing = !pausing;
  $("pause").setAttribute("aria-pressed", String(pausing));
  $("pause").textContent = pausing ? "Continue" : "Pause";
  if (pausing) $("state").textContent = "Paused";
});

async function run() {
  try {
    await enterByLink();
  } catch (error) {
    say(error.message);
  }
  for (;;) {
    if (!pausing && !document.hidden) {
      try {
        await look();
        failures = 0;
      } catch (error) {
        failures += 1;
        if (error.status === 401) askForToken($("login-error").textContent);
        else if (error.status) say(error.message);
        else $("state").textContent = "The server does not answer";
      }
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL * Math.min(2 ** failures, 10)));
  }
}

run();

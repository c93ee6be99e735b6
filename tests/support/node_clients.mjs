// Ask as the official clients for Node do. Reads from stdin, as JSON: the base `urls` of OpenAI and
// Anthropic, and `asks`, each with a `name`, an `api`, a `form` ("stream", "whole", "helper"), a
// `session` and a `timeout` in milliseconds. Writes an outcome of each: the `error`, the code of its
// `cause`, the `words` that were read, and the milliseconds of its `waits` before further attempts,
// which are not slept where the ask has `notes_waits`.
import { readFileSync } from "node:fs";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";

const { urls, asks } = JSON.parse(readFileSync(0, "utf8"));

function create(api, form, name, options) {
  const messages = [{ role: "user", content: name }];
  const settings = { apiKey: "any", baseURL: urls[api === "messages" ? 1 : 0] };
  const stream = form === "stream";
  if (api === "messages") {
    const { messages: api } = new Anthropic(settings);
    const body = { model: "m", max_tokens: 9, messages };
    if (form === "helper") return api.stream(body, options).finalMessage();
    return api.create({ ...body, stream }, options);
  }
  const client = new OpenAI(settings);
  if (api === "responses") {
    return client.responses.create({ model: "m", input: name, stream }, options);
  }
  const { completions } = client.chat;
  if (form === "helper") {
    return completions.stream({ model: "m", messages }, options).finalChatCompletion();
  }
  return completions.create({ model: "m", messages, stream }, options);
}

function wordsOf(event) {
  if (event.choices?.length) return event.choices[0].delta.content ?? "";
  return typeof event.delta === "string" ? event.delta : (event.delta?.text ?? "");
}

async function outcomeOf({ name, api, form, session, timeout }) {
  const found = { error: null, cause: null, words: "", waits: [] };
  const headers = { "x-mockllm-session": session };
  try {
    const answer = await create(api, form, name, { timeout, headers, maxRetries: 1 });
    if (form === "stream") for await (const event of answer) found.words += wordsOf(event);
  } catch (error) {
    found.error = error.constructor.name;
    found.cause = error.cause?.code ?? null;
  }
  return found;
}

const sleep = globalThis.setTimeout;

async function notingWaits(ask) {
  const waits = [];
  globalThis.setTimeout = (callback, milliseconds, ...others) => {
    const isOfClient = new Error().stack.includes("sleep.mjs"); // and not of fetch
    if (!isOfClient) return sleep(callback, milliseconds, ...others);
    waits.push(milliseconds);
    return sleep(callback, 0, ...others);
  };
  try {
    return { ...(await outcomeOf(ask)), waits };
  } finally {
    globalThis.setTimeout = sleep;
  }
}

const outcomes = await Promise.all(asks.map((ask) => (ask.notes_waits ? null : outcomeOf(ask))));
for (const [number, ask] of asks.entries()) {
  if (ask.notes_waits) outcomes[number] = await notingWaits(ask); // one at a time
}
process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));

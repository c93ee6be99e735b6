// Ask Portkey's gateway, which runs in this process. Reads `asks` from stdin, as JSON: the `config`
// of the gateway and the `body` of a request for a chat completion. Writes of each the `status` of
// the answer and the milliseconds of the `waits` before further attempts, which are not slept.
import { readFileSync } from "node:fs";
import http from "node:http";
import { register } from "node:module";

const { asks } = JSON.parse(readFileSync(0, "utf8"));
const write = process.stdout.write.bind(process.stdout);
process.stdout.write = () => true; // it says that it starts
console.log = console.error = console.clear = () => {};

// The gateway's repository lets async-retry hand on its operation. The package lacks that.
function loader() {
  return async function load(url, context, next) {
    if (!url.endsWith("/async-retry/lib/index.js")) return next(url, context);
    const { readFileSync } = await import("node:fs");
    const source = readFileSync(new URL(url), "utf8").replace("fn(bail, num)", "fn(bail, num, op)");
    return { format: "commonjs", source, shortCircuit: true };
  };
}
register(`data:text/javascript,${encodeURIComponent(`export const load = (${loader})();`)}`);

const sleep = globalThis.setTimeout;
let waits = [];
globalThis.setTimeout = (callback, milliseconds, ...others) => {
  const { stack } = new Error();
  const isWait = ["retry_operation.js", "start-server.js"].some((name) => stack.includes(name));
  if (!isWait) return sleep(callback, milliseconds, ...others); // of fetch
  if (milliseconds) waits.push(milliseconds);
  return sleep(callback, 0, ...others);
};

const listening = new Promise((resolve) => {
  const { listen } = http.Server.prototype;
  http.Server.prototype.listen = function () {
    return listen.call(this, 0, "127.0.0.1", () => resolve(this.address().port)); // any free port
  };
});
process.argv.push("--headless");
await import("@portkey-ai/gateway/build/start-server.js");
const url = `http://127.0.0.1:${await listening}/v1/chat/completions`;

const found = [];
for (const { config, body } of asks) {
  waits = []; // one at a time
  const headers = { "content-type": "application/json", "x-portkey-config": JSON.stringify(config) };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  await answer.text();
  found.push({ status: answer.status, waits });
}
write(JSON.stringify(found), () => process.exit(0));

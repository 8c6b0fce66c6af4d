// The page's conversation, in Node.js with a document of its own: what the model is told after answers that were
// stopped or failed.
//
//   node Tests/clients/page.js Sources/InferenceServer/Resources/index.html
"use strict";
const assert = require("assert"), fs = require("fs"), vm = require("vm");

const elements = {};
const element = () => ({
  children: [], textContent: "", value: "", classList: {add() {}, remove() {}},
  append(...parts) {
    for (const part of parts) {
      if (typeof part === "string") this.textContent += part; else this.children.push(part);
    }
  },
  replaceChildren(...parts) { this.children = parts; }, setAttribute() {}, removeAttribute() {}, focus() {},
});

// How the server answers the next question, and what it was told.
let server = "", told = [];

const encode = data => new TextEncoder().encode("data: " + data + "\n\n");
const piece = content => encode(JSON.stringify({choices: [{delta: {content}}]}));

async function fetch(path, options = {}) {
  if (path === "v1/models") return Response.json({data: [{id: "model", context_length: 100}]});
  if (path === "v1/sessions") return Response.json({data: []});
  told = JSON.parse(options.body).messages.map(message => message.role + ": " + message.content);
  if (server === "refuses") return Response.json({error: {message: "refused"}}, {status: 500});
  return new Response(new ReadableStream({start(events) {
    options.signal.addEventListener("abort", () => events.error(options.signal.reason));
    if (server !== "says nothing") events.enqueue(piece("some"));
    if (server === "fails") events.enqueue(encode('{"error": {"message": "failed"}, "choices": []}'));
    if (server === "answers") { events.enqueue(encode("[DONE]")); events.close(); }
  }}));
}

const page = vm.createContext({
  document: {getElementById: id => elements[id] ??= element(), createElement: element, querySelectorAll: () => []},
  sessionStorage: {getItem: () => "", setItem() {}}, addEventListener() {}, fetch, performance, AbortController,
  TextDecoder, TextDecoderStream,
});
const pause = () => new Promise(resolve => setTimeout(resolve, 50));
const shown = () => elements.log.children.map(child => child.textContent).filter(text => text);

async function ask(question, how, stops = false) {
  server = how;
  elements.question.value = question;
  elements.ask.onsubmit({preventDefault() {}});
  await pause();
  if (stops) elements.stop.onclick();
  await pause();
}

(async () => {
  vm.runInContext(/<script>([^]*)<\/script>/.exec(fs.readFileSync(process.argv[2], "utf8"))[1], page);
  await pause();
  const hint = shown();
  await ask("one", "says nothing", true);
  assert.deepEqual(shown(), hint);
  assert.equal(elements.question.value, "one");
  await ask("two", "answers");
  assert.deepEqual(told, ["user: two"]);
  await ask("three", "refuses");
  assert.deepEqual(shown().slice(-2), ["three", "refused"]);
  await ask("four", "fails");
  assert.deepEqual(told, ["user: two", "assistant: some", "user: four"]);
  assert.deepEqual(shown().slice(-3), ["four", "some", "failed"]);
  await ask("five", "is slow", true);
  assert.deepEqual(shown().slice(-3), ["five", "some", "stopped"]);
  await ask("six", "answers");
  assert.deepEqual(told, ["user: two", "assistant: some", "user: five", "assistant: some", "user: six"]);
})().catch(error => { console.error(error); process.exitCode = 1; });

// Conversations with a server that answers as it is told to.

import assert from "node:assert/strict";
import test from "node:test";
import {Server} from "../../Sources/InferenceServer/Resources/Page/api.mjs";
import {Chat} from "../../Sources/InferenceServer/Resources/Page/chat.mjs";
import {path} from "../../Sources/InferenceServer/Resources/Page/conversations.mjs";
import {Documents} from "../../Sources/InferenceServer/Resources/Page/documents.mjs";
import {defaults} from "../../Sources/InferenceServer/Resources/Page/settings.mjs";
import {Store} from "../../Sources/InferenceServer/Resources/Page/store.mjs";

const encode = data => new TextEncoder().encode("data: " + data + "\n\n");
const piece = delta => encode(JSON.stringify({choices: [{delta}]}));
const circle = "It was a truth that she had heard before, and it was told to her again by the same person. ";

/** A page without a screen, and a server in `fetch`. */
async function page(how = {}) {
  const asked = [], failures = [];
  let taken = "";
  const state = {how: "answers", asked, failures, taken: () => taken, ...how};
  globalThis.fetch = async (address, {body, signal, method} = {}) => {
    if (state.how === "gone") throw new TypeError("fetch failed");
    const fields = body ? JSON.parse(body) : {};
    asked.push({address, method, fields});
    if (address === "v1/sessions") return sessions(state, fields, method);
    if (state.how === "refuses") return Response.json({error: {message: "refused", code: "queue_full"}}, {status: 429});
    return stream(signal, async events => {
      if (state.how === "says nothing") return;
      if (state.how === "circles") {
        for (let count = 0; count < 50 && !signal.aborted; count += 1) events.enqueue(piece({content: circle}));
        return;
      }
      if (state.how === "thinks") events.enqueue(piece({reasoning_content: "hm"}));
      events.enqueue(piece({content: "some"}));
      if (state.how === "fails") events.enqueue(encode('{"error": {"message": "failed"}, "choices": []}'));
      if (state.how === "is slow") return;
      if (state.how === "is cut") { events.close(); return; }
      if (state.how === "is long") events.enqueue(encode('{"choices": [{"delta": {}, "finish_reason": "length"}]}'));
      events.enqueue(encode("[DONE]"));
      events.close();
    });
  };
  const store = new Store(null), server = new Server();
  const documents = new Documents(server, store, () => {});
  state.chat = new Chat({
    server, store, documents, settings: () => ({...defaults, ...state.settings}),
    page: {
      changed() {}, grew() {}, ended() {}, takeBack(text) { taken = text; }, failed(error) { failures.push(error); },
      answerFailed(error) { failures.push(error); },
    },
  });
  Object.assign(state, {store, documents, server});
  return state;
}

function stream(signal, write) {
  return new Response(new ReadableStream({
    start(events) {
      signal?.addEventListener("abort", () => { try { events.error(signal.reason); } catch {} });
      write(events);
    },
  }));
}

function sessions(state, fields, method) {
  if (method !== "POST") return Response.json({data: state.kept ?? []});
  if (state.how === "keeps nothing") return Response.json({error: {message: "no", code: "sessions_unavailable"}}, {status: 501});
  const session = {id: "ses-1", object: "session", name: fields.name, state: "ready", tokens: 7, bytes: 1048576};
  state.kept = [session];
  return stream(null, events => {
    events.enqueue(encode(JSON.stringify({...session, state: "reading"})));
    events.enqueue(encode('{"object": "session.progress", "processed": 7, "total": 7}'));
    events.enqueue(encode(JSON.stringify(session)));
    events.enqueue(encode("[DONE]"));
    events.close();
  });
}

const pause = () => new Promise(resolve => setTimeout(resolve, 30));
const shown = state => path(state.chat.current).map(message => message.content);
const last = state => path(state.chat.current).at(-1);
const told = state => state.asked.at(-1).fields.messages.map(message => message.role + ": " + message.content);

async function ask(state, question, how, stops = false) {
  state.how = how;
  const end = state.chat.ask(question);
  if (stops) { await pause(); state.chat.stop(); }
  await end;
}

test("stopped before it began: as if it had not been asked", async () => {
  const state = await page();
  await ask(state, "one", "says nothing", true);
  assert.deepEqual(shown(state), []);
  assert.equal(state.taken(), "one");
  assert.deepEqual(state.failures, []);
});

test("the model is told whole turns after answers that failed or were stopped", async () => {
  const state = await page();
  await ask(state, "two", "answers");
  assert.deepEqual(told(state), ["user: two"]);
  assert.equal(last(state).ended, "stop");
  await ask(state, "three", "refuses");
  assert.deepEqual(last(state).error, {text: "refused", code: "queue_full", what: "answer"});
  await ask(state, "four", "fails");
  assert.deepEqual(told(state), ["user: two", "assistant: some", "user: four"]);
  assert.deepEqual([last(state).content, last(state).ended, last(state).error.text], ["some", "error", "failed"]);
  await ask(state, "five", "is slow", true);
  assert.deepEqual([last(state).content, last(state).ended], ["some", "stopped"]);
  await ask(state, "six", "answers");
  assert.deepEqual(told(state), ["user: two", "assistant: some", "user: five", "assistant: some", "user: six"]);
});

test("answered again, edited, gone on with", async () => {
  const state = await page();
  await ask(state, "one", "is long");
  assert.equal(last(state).ended, "length");
  const first = last(state);
  state.how = "answers";
  await state.chat.goOn(first);
  assert.deepEqual(told(state), ["user: one", "assistant: some"]);
  assert.deepEqual([first.content, first.ended], ["somesome", "stop"]);
  await state.chat.regenerate(first);
  assert.deepEqual(told(state), ["user: one"]);
  assert.deepEqual(shown(state), ["one", "some"]);
  state.chat.select(first);
  assert.deepEqual(shown(state), ["one", "somesome"]);
  await state.chat.edit(path(state.chat.current)[0], "uno");
  assert.deepEqual(told(state), ["user: uno"]);
  assert.deepEqual(shown(state), ["uno", "some"]);
  const empty = last(state);
  state.how = "says nothing";
  const end = state.chat.regenerate(empty);
  await pause();
  state.chat.stop();
  await end;
  assert.deepEqual(shown(state), ["uno", "some"], "an answer that never began leaves the one before");
});

test("edited and asked again while an answer is being written", async () => {
  const state = await page({how: "says nothing"});
  const first = state.chat.ask("one");
  await pause();
  state.how = "is slow";
  const second = state.chat.edit(path(state.chat.current)[0], "uno");
  await first;
  await pause();
  assert.deepEqual(shown(state), ["uno", "some"]);
  assert.equal(state.taken(), "", "nothing is put back");
  state.how = "answers";
  await state.chat.regenerate(last(state));
  await second;
  assert.deepEqual(told(state), ["user: uno"]);
  assert.deepEqual(shown(state), ["uno", "some"]);
  assert.equal(state.chat.current.messages.filter(message => message.parent === last(state).parent).length, 2);
  assert.equal(state.chat.running.size, 0);
});

test("a circle is stopped, and gone on with when that is wanted", async () => {
  const state = await page();
  await ask(state, "one", "circles");
  const answer = last(state);
  assert.equal(answer.ended, "loop");
  assert.ok(answer.content.length <= 10 * circle.length, "soon");
  assert.deepEqual(state.failures, []);
  state.how = "circles";
  const end = state.chat.goOn(answer);
  await pause();
  state.chat.stop();
  await end;
  assert.equal(answer.ended, "stopped", "not stopped at the same circle again");
  const other = await page({settings: {stopsLoops: false}});
  other.how = "circles";
  const going = other.chat.ask("one");
  await pause();
  other.chat.stop();
  await going;
  assert.equal(last(other).ended, "stopped");
});

test("a server that is gone, and an answer that is cut", async () => {
  const state = await page();
  await ask(state, "one", "gone");
  assert.equal(last(state).error.code, "gone");
  assert.equal(state.failures[0].code, "gone");
  await ask(state, "two", "is cut");
  assert.deepEqual([last(state).content, last(state).error.code], ["some", "cut"]);
});

test("settings are sent as the server's fields", async () => {
  const state = await page({settings: {
    system: " be brief ", temperature: "0", top_p: "0.9", top_k: "40", seed: "7", max_tokens: "9", reasoning: "high",
  }});
  await ask(state, "one", "thinks");
  const {fields} = state.asked.at(-1);
  assert.equal(fields.messages[0].content, "be brief");
  for (const [name, value] of Object.entries({
    temperature: 0, top_p: 0.9, top_k: 40, seed: 7, max_tokens: 9, reasoning_effort: "high", repetition_penalty: 1.1, stream: true,
    return_progress: true,
  })) assert.equal(fields[name], value, name);
  assert.equal(last(state).reasoning, "hm");
  for (const [reasoning, value] of [["off", false], ["on", true], ["", undefined]]) {
    state.settings = {...state.settings, reasoning};
    await ask(state, "more", "answers");
    assert.equal(state.asked.at(-1).fields.enable_thinking, value);
  }
});

test("a question waits for its document, which is read once", async () => {
  const state = await page();
  const item = await state.documents.add("a.txt", "A text.");
  state.chat.choose(item.id);
  await ask(state, "one", "answers");
  await ask(state, "two", "answers");
  const order = state.asked.filter(({method}) => method === "POST").map(({address}) => address);
  assert.deepEqual(order, ["v1/sessions", "v1/chat/completions", "v1/chat/completions"]);
  assert.equal(state.asked.at(-1).fields.session, "ses-1");
  assert.equal(state.documents.state(item), "7 tokens, 1 MB");
  // A server that was started anew has it no more.
  state.kept = [];
  await state.documents.refresh();
  assert.equal(state.documents.isReady(item), false);
  await ask(state, "three", "answers");
  assert.equal(state.asked.filter(({address, method}) => address === "v1/sessions" && method === "POST").length, 2);
});

test("where the server keeps no documents they are sent with the questions", async () => {
  const state = await page();
  const item = await state.documents.add("a.txt", "A text.");
  state.chat.choose(item.id);
  await ask(state, "one", "keeps nothing");
  assert.deepEqual(told(state), ["user: A text.\n\none"]);
  assert.equal(state.asked.at(-1).fields.session, undefined);
});

test("conversations and the chosen document are there again", async () => {
  const state = await page();
  const item = await state.documents.add("a.txt", "A text.");
  state.chat.choose(item.id);
  await ask(state, "one", "answers");
  const again = new Chat({...state, settings: () => defaults, page: {}});
  await again.load();
  assert.equal(again.list.length, 1);
  assert.deepEqual(path(again.list[0]).map(message => message.content), ["one", "some"]);
  assert.equal(again.list[0].document, item.id);
  const documents = new Documents(state.server, state.store, () => {});
  await documents.load();
  assert.equal(await documents.text(documents.find(item.id)), "A text.");
});

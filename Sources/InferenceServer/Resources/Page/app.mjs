// The page: connects the server, what the browser keeps, and what is shown.

import {advice, Server} from "./api.mjs";
import {Chat} from "./chat.mjs";
import {Documents, textOf} from "./documents.mjs";
import {$, announce, ask, goToQuestion} from "./dom.mjs";
import {listenToKeys, makeDrawers} from "./layout.mjs";
import {Log} from "./log.mjs";
import {DocumentPane} from "./pane.mjs";
import {changeSettings} from "./settings-dialog.mjs";
import {fromRecord} from "./settings.mjs";
import {showConversations, showDocuments} from "./sidebar.mjs";
import {recall, recallHere, remember, rememberHere, Store} from "./store.mjs";

/** Milliseconds between two looks whether a server that was gone is back. */
const returnStep = 3000;

let settings = fromRecord(recall("settings", null));
const store = await Store.open();
const server = new Server(recallHere("key", ""));
const documents = new Documents(server, store, () => { showLists(); showReading(); });
const question = $("question");
// What a conversation without questions shows comes and goes with it.
const empty = $("empty"), emptyText = $("empty-text"), emptyAdd = $("empty-add");
empty.remove();
const chat = new Chat({
  server, store, documents, settings: () => settings,
  page: {
    changed: showAll, failed,
    answerFailed: error => { if (error.status === 401 || isConnection(error)) failed(error); },
    grew: (message, status) => log.update(message, status),
    takeBack(text) { if (!question.value) { question.value = text; resize(); } },
    ended(conversation, message) {
      if (conversation === chat.current) log.show(conversation, logState()); else log.running = chat.runningHere;
      showLists();
      showComposer();
      // Answers are read out when they are there, not token by token.
      announce(message.ended === "error" ? "The answer failed." : "Answer: " + message.content.slice(0, 2000));
      documents.refresh().catch(() => {});
    },
  },
});
const afterwards = promise => { goToQuestion(); return promise; };
const log = new Log($("log"), {
  regenerate: message => afterwards(chat.regenerate(message)), goOn: message => afterwards(chat.goOn(message)),
  edit: (message, text) => afterwards(chat.edit(message, text)), select: message => chat.select(message),
  openPassage: ({name, start, end}) => showPassage(name, start, end),
});
const drawers = makeDrawers(() => pane.close());
const pane = new DocumentPane(documents, {
  opened: () => drawers.pane.set(true), closed: () => drawers.pane.set(false),
});

/** Opens a document at a passage: see `DocumentPane.showPassage`. */
export const showPassage = (name, start, end) => pane.showPassage(name, start, end);

// What is shown.

const logState = () => ({running: chat.runningHere, model: server.model, empty});

function showAll() {
  log.show(chat.current, logState());
  showLists();
  showComposer();
  document.title = (chat.current.title ? chat.current.title + " · " : "") + "RetrievalAttention";
}

function showLists() {
  showConversations(chat.shown, chat.current.id, new Set(chat.running.keys()), {
    open(conversation) { chat.show(conversation); drawers.leaveSidebar(); goToQuestion(); },
    async rename(conversation) {
      const title = await ask({title: "Rename the conversation", action: "Rename", value: conversation.title});
      if (title) await chat.rename(conversation, title);
    },
    async delete(conversation) {
      const text = `“${conversation.title}” is deleted from this browser.`;
      if (await ask({title: "Delete the conversation?", text, action: "Delete"})) await chat.delete(conversation);
    },
  });
  showDocuments(documents, chat.current.document, {
    choose(item) { chat.begin(item.id); drawers.leaveSidebar(); goToQuestion(); },
    show: item => { drawers.leaveSidebar(); pane.open(item); },
    async delete(item) {
      const text = `What the server keeps of “${item.name}” is deleted, and its text in this browser.`;
      if (!(await ask({title: "Delete the document?", text, action: "Delete"}))) return;
      if (pane.document === item) pane.close();
      await documents.remove(item).catch(failed);
      showAll();
    },
  });
  const chosen = chat.document;
  $("about").hidden = $("show-document").hidden = !chosen;
  $("about-name").textContent = chosen ? chosen.name : "";
  $("about-state").textContent = chosen ? documents.state(chosen) : "";
  emptyText.textContent = chosen ? `Ask something about ${chosen.name}.` : "Ask something, or add a document and ask about it.";
}

function showComposer() {
  const isRunning = chat.runningHere !== null;
  $("send").hidden = isRunning;
  $("stop").hidden = !isRunning;
}

function showReading() {
  const {reading} = documents;
  $("reading").hidden = !reading;
  if (!reading) return;
  $("reading-name").textContent = reading.document.name;
  $("reading-status").textContent = reading.status;
  const bar = $("reading-progress");
  bar.max = reading.total || 1;
  if (reading.done) bar.value = reading.done; else bar.removeAttribute("value");
}
setInterval(showReading, 500);

function resize() {
  question.style.height = "auto";
  question.style.height = Math.min(question.scrollHeight + 2, innerHeight * 0.4) + "px";
}

// Errors and the connection.

function showProblem(text, again = null) {
  $("problem").hidden = !text;
  $("problem-text").textContent = text;
  $("problem-again").hidden = again === null;
  $("problem-again").onclick = again;
}

const isConnection = error => error.code === "gone" || error.code === "cut";

function failed(error) {
  if (error.name === "AbortError") return;
  if (error.status === 401) { $("key-form").hidden = false; $("key").focus(); return; }
  const what = error.what ?? "answer";
  if (isConnection(error)) waitForServer();
  showProblem([error.message, advice(error, {what, model: server.model})].filter(Boolean).join(" "),
    error.code === "gone" ? connect : null);
}

let waiting = null;
/** Looks from time to time whether the server is back. */
function waitForServer() {
  waiting ??= setInterval(async () => {
    try { await server.call("health"); } catch { return; }
    clearInterval(waiting);
    waiting = null;
    await connect();
    announce("The server is back.");
  }, returnStep);
}

async function connect() {
  try {
    server.model = (await server.json("v1/models")).data[0];
    $("model").textContent = server.model.id;
    $("model").title = `Contexts of up to ${server.model.context_length.toLocaleString("en")} tokens`;
    $("key-form").hidden = true;
    showProblem("");
    await documents.refresh();
    showAll();
  } catch (error) {
    $("model").textContent = error.status === 401 ? "a key is needed" : "not connected";
    failed(error);
  }
}

// What people do.

/** Errors of documents that this server will never read: they are not kept. */
const tooLong = ["context_length_exceeded", "request_too_large"];

async function addDocument(file) {
  showProblem("");
  let item = null;
  try {
    item = await documents.add(file.name, await textOf(file));
    chat.choose(item.id);
    goToQuestion();
    announce(`${item.name} is being read.`);
    await documents.read(item);
    announce(`${item.name} was read.`);
  } catch (error) {
    if (item && tooLong.includes(error.code)) {
      error.message = `${item.name} is too long. ${error.message}`;
      if (chat.current.document === item.id) chat.choose("");
      await documents.remove(item).catch(() => {});
    }
    failed(Object.assign(error, {what: "document"}));
  }
}

function send() {
  const text = question.value.trim();
  if (!text || chat.runningHere) return;
  question.value = "";
  rememberHere("draft", "");
  resize();
  showProblem("");
  log.toEnd();
  chat.ask(text);
}

function begin() { chat.begin(); drawers.leaveSidebar(); goToQuestion(); }

$("ask").onsubmit = event => { event.preventDefault(); send(); };
question.oninput = () => { rememberHere("draft", question.value); resize(); };
question.onkeydown = event => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
};
$("stop").onclick = () => { chat.stop(); goToQuestion(); };
$("new-chat").onclick = $("new-chat-top").onclick = begin;
$("stop-reading").onclick = () => documents.stop(documents.reading.document);
$("file").onchange = event => {
  if (event.target.files.length) addDocument(event.target.files[0]);
  // The same file once more is another choice.
  event.target.value = "";
};
for (const button of [$("attach"), $("add-document"), emptyAdd]) button.onclick = () => $("file").click();
$("show-document").onclick = $("about-show").onclick = () => {
  if (pane.document === chat.document) pane.close(); else pane.open(chat.document);
};
$("about-drop").onclick = () => { chat.choose(""); goToQuestion(); };
$("settings").onclick = async () => {
  const changed = await changeSettings(settings);
  if (changed) { settings = changed; remember("settings", settings); }
};
$("problem-close").onclick = () => showProblem("");
$("key-form").onsubmit = event => {
  event.preventDefault();
  server.key = $("key").value.trim();
  rememberHere("key", server.key);
  connect().then(() => { if ($("key-form").hidden) goToQuestion(); });
};
for (const kind of ["dragenter", "dragover"]) {
  addEventListener(kind, event => { event.preventDefault(); document.body.classList.add("dropping"); });
}
for (const kind of ["dragleave", "drop"]) {
  addEventListener(kind, event => { event.preventDefault(); document.body.classList.remove("dropping"); });
}
addEventListener("drop", event => { if (event.dataTransfer.files.length) addDocument(event.dataTransfer.files[0]); });
// Other pages and programs add documents and delete them.
addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && server.model) documents.refresh().catch(() => {});
});
listenToKeys({
  begin, closeCover: drawers.closeCover, closePane: () => pane.close(),
  stop() {
    if (!chat.runningHere) return false;
    chat.stop();
    return true;
  },
  editLast: () => [...document.querySelectorAll("#log .question .edit")].at(-1)?.click(),
});

await documents.load();
await chat.load();
question.value = recallHere("draft", "");
showAll();
resize();
goToQuestion();
await connect();

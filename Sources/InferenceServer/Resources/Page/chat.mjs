// Conversations that go on: what is asked, which answers are being written, what is kept.

import {answer} from "./answer.mjs";
import {add, fromRecord, newConversation, path, remove, select, versions} from "./conversations.mjs";
import {recall, recallHere, remember, rememberHere} from "./store.mjs";

/** Milliseconds between two times that a growing answer is kept. */
const keepStep = 1000;

/** All conversations, one of which is shown. */
export class Chat {
  /**
   * @param {object} parts
   * @param {import("./api.mjs").Server} parts.server
   * @param {import("./store.mjs").Store} parts.store
   * @param {import("./documents.mjs").Documents} parts.documents
   * @param {() => object} parts.settings
   * @param {object} parts.page - told of what changes: `changed()`, `grew(message, status)`,
   *   `ended(conversation, message)`, `takeBack(question)` for one that was stopped before its answer began,
   *   `answerFailed(error)`, which is in the message too, `failed(error)`
   */
  constructor({server, store, documents, settings, page}) {
    Object.assign(this, {server, store, documents, settings, page});
    this.list = [];
    this.current = newConversation();
    /** Answers that are being written, by their conversations. */
    this.running = new Map();
  }

  /** Those that something was asked in. */
  get shown() { return this.list.filter(conversation => conversation.messages.length); }
  get runningHere() { return this.running.get(this.current.id) ?? null; }
  get document() { return this.documents.find(this.current.document) ?? null; }

  async load() {
    this.list = (await this.store.all("conversations")).map(fromRecord).filter(Boolean);
    const id = recallHere("current", recall("current", ""));
    const current = this.list.find(conversation => conversation.id === id);
    for (const empty of this.list.filter(other => !other.messages.length && other !== current)) {
      await this.store.delete("conversations", empty.id);
    }
    if (current) this.current = current;
  }

  async keep(conversation) {
    if (!this.list.includes(conversation)) this.list.push(conversation);
    try {
      await this.store.put("conversations", structuredClone(conversation));
    } catch (error) {
      this.page.failed(new Error(`The browser did not keep this conversation: ${error.message}`));
    }
  }

  show(conversation) {
    this.current = conversation;
    rememberHere("current", conversation.id);
    remember("current", conversation.id);
    this.page.changed();
  }

  /** An empty conversation about a document, or about none. */
  begin(document = "") {
    if (!this.current.messages.length) { this.choose(document); return; }
    this.show(newConversation(document));
    if (document) this.keep(this.current);
  }

  /** Makes the conversation one about a document; "" for none. */
  choose(document) {
    this.current.document = document;
    this.keep(this.current);
    this.show(this.current);
  }

  async rename(conversation, title) {
    conversation.title = title;
    await this.keep(conversation);
    this.page.changed();
  }

  async delete(conversation) {
    this.running.get(conversation.id)?.abort.abort();
    this.list = this.list.filter(other => other !== conversation);
    await this.store.delete("conversations", conversation.id);
    if (this.current === conversation) this.show(newConversation()); else this.page.changed();
  }

  // What is asked. Each of these ends with the answer.

  ask(question) {
    add(this.current, "user", question);
    return this.reply(this.current);
  }

  /** A question in other words, from which the conversation goes on anew. */
  async edit(message, question) {
    const conversation = this.current;
    await this.halt(conversation);
    add(conversation, "user", question, message.parent);
    return this.reply(conversation);
  }

  /** Another answer to the same question. */
  async regenerate(message) {
    const conversation = this.current;
    await this.halt(conversation);
    return this.reply(conversation, {question: message.parent});
  }

  /** More of an answer that is not complete. */
  async goOn(message) {
    const conversation = this.current;
    await this.halt(conversation);
    select(conversation, message);
    return this.reply(conversation, {message});
  }

  select(message) {
    select(this.current, message);
    this.keep(this.current);
    this.page.changed();
  }

  stop(conversation = this.current) { this.running.get(conversation.id)?.abort.abort(); }

  /** Ends the answer that is being written, for another one. */
  async halt(conversation) {
    const run = this.running.get(conversation.id);
    if (!run) return;
    run.isReplaced = true;
    run.abort.abort();
    await run.end;
  }

  async reply(conversation, {question = conversation.leaf, message = null} = {}) {
    const isNew = message === null;
    message ??= add(conversation, "assistant", "", question);
    const run = {message, abort: new AbortController(), status: "", isReplaced: false};
    this.running.set(conversation.id, run);
    run.end = this.run(conversation, run, isNew);
    await run.end;
  }

  async run(conversation, run, isNew) {
    const {message} = run, wasLoop = message.ended === "loop";
    delete message.costs;
    message.ended = "open";
    conversation.changed = Date.now();
    // Who leaves the page now finds the question again.
    this.keep(conversation);
    this.show(this.current);
    let kept = performance.now();
    try {
      await this.write(conversation, run, !wasLoop, status => {
        run.status = status;
        this.page.grew(message, status);
        if (performance.now() - kept > keepStep) { kept = performance.now(); this.keep(conversation); }
      });
    } catch (error) {
      message.ended = run.abort.signal.aborted ? "stopped" : "error";
      if (message.ended === "error") {
        message.error = {text: error.message, code: error.code ?? "", what: error.what ?? "answer"};
        this.page.answerFailed(error);
      }
    }
    this.running.delete(conversation.id);
    const isEmpty = !message.content && !message.reasoning;
    if (isNew && isEmpty && message.ended === "stopped") {
      if (run.isReplaced) remove(conversation, message); else this.takeBack(conversation, message);
    }
    // One that was deleted meanwhile stays so.
    if (this.list.includes(conversation)) await this.keep(conversation);
    this.page.ended(conversation, message);
  }

  async write(conversation, {message, abort: {signal}}, stopsLoops, changed) {
    const settings = this.settings(), document = this.documents.find(conversation.document);
    if (conversation.document && !document) {
      throw Object.assign(new Error("The document of this conversation is gone."), {code: "session_not_found"});
    }
    if (document && !this.documents.isReady(document)) {
      changed("waiting for the document to be read");
      const stopped = new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason), {once: true});
      });
      try {
        await Promise.race([this.documents.read(document), stopped]);
      } catch (error) {
        if (!signal.aborted && error.name === "AbortError") throw new Error("The reading of the document was stopped.");
        throw Object.assign(error, {what: "document"});
      }
    }
    const isKept = document && this.documents.keepsSessions;
    await answer({
      server: this.server, shown: path(conversation, message.id), message, settings, signal, changed,
      session: isKept ? document.session : "", model: this.server.model, stopsLoops: settings.stopsLoops && stopsLoops,
      document: document && !isKept ? await this.documents.text(document) : "",
    });
  }

  /** Stopped before it began: as if it had not been asked, and ready to be asked in other words. */
  takeBack(conversation, message) {
    const question = conversation.messages.find(other => other.id === message.parent);
    remove(conversation, message);
    if (versions(conversation, message).length || !question) return;
    remove(conversation, question);
    if (!conversation.messages.length) conversation.title = "";
    if (conversation === this.current) this.page.takeBack(question.content);
  }
}

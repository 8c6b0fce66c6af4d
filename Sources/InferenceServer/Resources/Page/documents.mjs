// Documents: files that people gave to this page, whose texts the browser keeps, and sessions of the server, in which
// it keeps what it computed of them.

import {newID} from "./conversations.mjs";
import {recall, remember} from "./store.mjs";
import {duration, expectedGrowth, TimeLeft} from "./timeleft.mjs";

const number = value => value.toLocaleString("en");

/** A file as text. */
export async function textOf(file) {
  const fault = new Error(`${file.name} is not a text in UTF-8. Save it as one first; PDF and Word files are none.`);
  let text;
  try { text = new TextDecoder("utf-8", {fatal: true}).decode(await file.arrayBuffer()); } catch { throw fault; }
  if (text.includes("\0")) throw fault;
  if (!text.trim()) throw new Error(`${file.name} is empty.`);
  return text;
}

/** All documents, and how they are read by the server, one after the other. */
export class Documents {
  /**
   * @param {import("./api.mjs").Server} server
   * @param {import("./store.mjs").Store} store
   * @param {() => void} changed - called when the list, or what is being read, is another one
   */
  constructor(server, store, changed) {
    this.server = server;
    this.store = store;
    this.changed = changed;
    this.list = [];
    this.sessions = [];
    /** Whether the server keeps documents; one that does not gets them with each question. */
    this.keepsSessions = true;
    /** The document that is being read, and how far: see `Reading`. */
    this.reading = null;
    this.queue = Promise.resolve();
    this.waiting = new Map();
  }

  async load() {
    const records = await this.store.all("documents");
    this.list = records.filter(record => typeof record.name === "string").sort((a, b) => b.added - a.added);
  }

  /** Asks the server for its sessions; those that no document belongs to are documents without a text. */
  async refresh() {
    this.sessions = (await this.server.json("v1/sessions")).data;
    const known = new Set();
    for (const document of this.list.filter(document => !document.isForeign)) {
      if (this.waiting.has(document.id)) continue;
      if (document.session && !this.sessions.some(session => session.id === document.session)) {
        document.session = "";
        await this.keep(document);
      }
      known.add(document.session);
    }
    // One that is being read is somebody else's, and cannot be asked about yet.
    const foreign = this.sessions.filter(session => !known.has(session.id) && session.state !== "reading");
    this.list = [
      ...this.list.filter(document => !document.isForeign),
      ...foreign.map(({id, name, tokens}) => ({id: "session:" + id, name, tokens, session: id, isForeign: true})),
    ];
    this.changed();
  }

  find(id) { return this.list.find(document => document.id === id); }
  session(document) { return this.sessions.find(session => session.id === document.session); }

  /** The text, where the browser has it. */
  async text(document) { return (await this.store.get("texts", document.id))?.text ?? null; }

  keep({id, name, length, session, tokens, added}) {
    return this.store.put("documents", {id, name, length, session, tokens, added});
  }

  /** Takes a text in; it is not read yet. The browser may refuse to keep one, which is thrown. */
  async add(name, text) {
    const clean = name.replace(/[\u0000-\u001f]/g, "");
    const document = {
      id: newID(), name: clean.slice(0, 60) || "untitled", length: text.length, session: "", tokens: 0, added: Date.now(),
    };
    await this.store.put("texts", {id: document.id, text});
    await this.keep(document);
    this.list.unshift(document);
    this.changed();
    return document;
  }

  /** Deletes a document here and its session on the server. */
  async remove(document) {
    this.stop(document);
    const session = this.session(document);
    if (session && !session.read_only) await this.server.call("v1/sessions/" + session.id, {method: "DELETE"});
    this.list = this.list.filter(other => other !== document);
    if (!document.isForeign) {
      await this.store.delete("documents", document.id);
      await this.store.delete("texts", document.id);
    }
    await this.refresh();
  }

  /** Whether it can be asked about at once. */
  isReady(document) { return !this.keepsSessions || Boolean(document.session && !this.waiting.has(document.id)); }

  /** What it is at, in words. */
  state(document) {
    if (this.waiting.has(document.id)) return this.reading?.document === document ? "being read" : "waits to be read";
    const tokens = document.tokens ? number(document.tokens) + " tokens" : number(document.length) + " characters";
    const session = this.session(document);
    if (!session) return tokens + (this.keepsSessions ? ", not read yet" : "");
    const states = {
      reading: "being read", stored: "on the disk", evicted: "put aside: the next question reads it again",
      ready: (session.bytes / 1048576).toFixed(0) + " MB",
    };
    return tokens + ", " + (states[session.state] ?? session.state);
  }

  /** Has a document read, after those that wait. Whoever asks for the same one waits for the same reading. */
  read(document) {
    const other = this.waiting.get(document.id);
    if (other) return other.promise;
    const abort = new AbortController();
    const promise = this.queue.catch(() => {}).then(() => this.readNow(document, abort.signal)).finally(() => {
      this.waiting.delete(document.id);
      this.reading = null;
      // Another reading has begun, or the list shows the end of this one.
      return this.refresh().catch(() => this.changed());
    });
    this.queue = promise;
    this.waiting.set(document.id, {abort, promise});
    this.changed();
    return promise;
  }

  /** Ends the reading of a document; what waits for it fails. */
  stop(document) { this.waiting.get(document.id)?.abort.abort(); }

  async readNow(document, signal) {
    if (signal.aborted) throw new DOMException("stopped", "AbortError");
    const reading = this.reading = new Reading(document, this.server.model);
    this.changed();
    const text = await this.text(document);
    if (text === null) throw new Error(`The text of ${document.name} is not in this browser any more. Add the file again.`);
    const body = {name: document.name, text, stream: true};
    try {
      for await (const event of this.server.events("v1/sessions", {method: "POST", body, signal})) {
        if (event.object === "session.progress") {
          reading.add(event);
        } else if (event.state === "ready") {
          document.session = event.id;
          document.tokens = event.tokens;
          await this.keep(document);
        } else {
          reading.total = event.tokens;
        }
        this.changed();
      }
      reading.rememberLaw();
    } catch (error) {
      if (error.code !== "sessions_unavailable" && error.status !== 501) throw error;
      this.keepsSessions = false;
    }
  }
}

/** How far a document is read. */
class Reading {
  constructor(document, model) {
    this.document = document;
    this.model = model;
    this.done = 0;
    this.total = 0;
    this.begin = performance.now();
    this.left = new TimeLeft({growth: expectedGrowth(model?.meta?.n_embd), law: recall("law", {})[model?.id] ?? null});
  }

  add({processed, total, seconds_left: left}) {
    const now = performance.now() / 1000;
    this.done = processed;
    this.total = total;
    this.left.add(processed, now);
    if (typeof left === "number") this.left.expect(left, now);
  }

  /** The next document begins with what this one took. */
  rememberLaw() {
    if (this.left.pieces.length > 3) remember("law", {[this.model?.id]: this.left.law});
  }

  /** What goes on, in words; it changes with the clock. */
  get status() {
    const now = performance.now(), passed = duration((now - this.begin) / 1000);
    if (!this.total) return "Waiting for its turn for " + passed;
    const count = `${number(this.done)} of ${number(this.total)} tokens`;
    if (this.done >= this.total) return `${count}, the index is being finished, ${passed} so far`;
    const left = this.left.left(this.total, now / 1000), rate = this.left.rate;
    const parts = [count];
    if (rate) parts.push(`${rate.toFixed(0)} a second`);
    parts.push(left === null ? passed + " so far" : duration(left) + " left");
    return parts.join(", ");
  }
}

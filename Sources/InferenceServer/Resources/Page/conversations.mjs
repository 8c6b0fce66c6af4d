// Conversations as trees of messages: a question that is asked in other words, and an answer that is asked for again,
// stand beside what they replace. One path from the root is shown and told to the model.

import {cutLoop} from "./repetition.mjs";

/** Of the records; what has another one is not read. */
export const version = 1;

/** How an answer can have ended. "open" is one whose page went away while it was being written. */
export const endings = ["open", "stop", "length", "stopped", "loop", "error"];

/** An identifier that no other conversation, document or message has. */
export function newID() {
  // Not randomUUID, which pages without TLS from another machine do not have.
  return [...crypto.getRandomValues(new Uint8Array(12))].map(byte => byte.toString(16).padStart(2, "0")).join("");
}

/** An empty conversation. */
export function newConversation(document = "") {
  const now = Date.now();
  return {version, id: newID(), title: "", created: now, changed: now, document, messages: [], leaf: ""};
}

/** The messages that are shown, from the first to the last. */
export function path(conversation, leaf = conversation.leaf) {
  const all = new Map(conversation.messages.map(message => [message.id, message]));
  const list = [];
  for (let message = all.get(leaf); message; message = all.get(message.parent)) list.unshift(message);
  return list;
}

/** Adds a message behind `parent` and shows it. */
export function add(conversation, role, content, parent = conversation.leaf) {
  const message = {id: newID(), parent, role, content, created: Date.now()};
  conversation.messages.push(message);
  conversation.leaf = message.id;
  conversation.changed = Date.now();
  if (!conversation.title && role === "user") conversation.title = title(content);
  return message;
}

/** The versions of a message: those with the same one before them, itself included. */
export function versions(conversation, message) {
  return conversation.messages.filter(other => other.parent === message.parent && other.role === message.role);
}

/** Shows a version of a message, with the newest of what follows it. */
export function select(conversation, message) {
  let leaf = message;
  for (;;) {
    const next = conversation.messages.findLast(other => other.parent === leaf.id);
    if (!next) break;
    leaf = next;
  }
  conversation.leaf = leaf.id;
}

/** Takes a message away, and all that follows it; what stands beside it is shown, or what stands before it. */
export function remove(conversation, message) {
  const gone = new Set([message.id]);
  // A message stands behind its parent in the list.
  for (const other of conversation.messages) if (gone.has(other.parent)) gone.add(other.id);
  conversation.messages = conversation.messages.filter(other => !gone.has(other.id));
  const other = versions(conversation, message).at(-1);
  if (other) select(conversation, other); else conversation.leaf = message.parent;
}

/**
 * What the model is told, as messages of a request: whole turns, since questions and answers alternate in chat
 * templates, then the last question.
 *
 * @param {object[]} shown - messages of a path whose last one is a question, or an answer that is to be gone on with
 */
export function told(shown, {system = "", document = ""} = {}) {
  const messages = [];
  if (system) messages.push({role: "system", content: system});
  const before = shown.at(-1)?.role === "user" ? shown.slice(0, -1) : shown.slice(0, -2);
  for (let index = 0; index + 1 < before.length; index += 2) {
    const [question, answer] = before.slice(index, index + 2);
    if (!answer.content || answer.ended === "error") continue;
    messages.push({role: "user", content: question.content});
    // What went in circles would be taken up again.
    messages.push({role: "assistant", content: answer.ended === "loop" ? cutLoop(answer.content) : answer.content});
  }
  for (const message of shown.slice(before.length)) {
    const {role, content, reasoning} = message;
    messages.push(role === "assistant" && reasoning ? {role, content, reasoning_content: reasoning} : {role, content});
  }
  // A server that keeps no sessions gets the document in front of the first question, where it is kept in memory.
  const first = messages.find(message => message.role === "user");
  if (document && first) first.content = document + "\n\n" + first.content;
  return messages;
}

/** A name for a conversation: the beginning of its first question. */
export function title(question) {
  const line = question.trim().split("\n", 1)[0].replace(/\s+/g, " ");
  return line.length > 60 ? line.slice(0, 59).trimEnd() + "…" : line;
}

/**
 * A conversation from what was stored, where a browser's storage can hold anything.
 *
 * @returns {object | null} null for what is none
 */
export function fromRecord(record) {
  const isText = value => typeof value === "string";
  if (!record || record.version !== version || !isText(record.id) || !record.id) return null;
  if (!Array.isArray(record.messages)) return null;
  const messages = [], known = new Set([""]);
  for (const message of record.messages) {
    const isWhole = message && isText(message.id) && message.id && isText(message.content)
      && (message.role === "user" || message.role === "assistant");
    // Only behind a message that is there: no circles, and nothing that cannot be reached.
    if (!isWhole || known.has(message.id) || !known.has(message.parent)) continue;
    known.add(message.id);
    const copy = {...message};
    if (copy.role === "assistant" && !endings.includes(copy.ended)) copy.ended = "open";
    messages.push(copy);
  }
  return {
    version, id: record.id, title: isText(record.title) ? record.title : "",
    document: isText(record.document) ? record.document : "",
    created: Number(record.created) || 0, changed: Number(record.changed) || 0, messages,
    leaf: known.has(record.leaf) ? record.leaf : messages.at(-1)?.id ?? "",
  };
}

// One answer of the model, from the request to its end.

import {told} from "./conversations.mjs";
import {findLoop} from "./repetition.mjs";
import {fields} from "./settings.mjs";
import {duration, expectedGrowth, TimeLeft} from "./timeleft.mjs";

const number = value => value.toLocaleString("en");

/** A text is searched for circles after so many new UTF-16 units. */
const loopStep = 120;

/**
 * Asks the server for an answer and writes it into a message as it comes; how it ended is `message.ended`, and what it
 * cost is in `message.costs`.
 *
 * @param {object} order
 * @param {import("./api.mjs").Server} order.server
 * @param {object[]} order.shown - the path that ends with `message`
 * @param {object} order.message - the answer; what it has already is gone on with
 * @param {object} order.settings
 * @param {string} [order.session] - the document, where the server keeps it
 * @param {string} [order.document] - its text, where the server keeps none
 * @param {object | null} [order.model] - the server's card
 * @param {boolean} order.stopsLoops - whether an answer that goes in circles is ended
 * @param {AbortSignal} order.signal
 * @param {(status: string) => void} order.changed - called when there is more of the message, with what goes on
 * @throws {ServerError} and for nothing else: a signal only ends the answer
 */
export async function answer(order) {
  const {server, shown, message, settings, session, document, model, stopsLoops, signal, changed} = order;
  const isContinued = Boolean(message.content || message.reasoning);
  const messages = told(isContinued ? shown : shown.slice(0, -1), {system: settings.system.trim(), document});
  const body = {
    ...fields(settings), messages, stream: true, stream_options: {include_usage: true}, return_progress: true,
  };
  if (session) body.session = session;
  // Where the answer comes from.
  if (session || document) body.evidence = true;
  const clock = new AnswerClock(model);
  // A circle that the answer was told to go on with is none to stop at.
  let searched = message.content.length, thoughtsSearched = (message.reasoning || "").length;
  const circles = new AbortController();
  const stop = () => circles.abort();
  signal.addEventListener("abort", stop, {once: true});
  if (signal.aborted) stop();
  message.ended = "open";
  delete message.error;
  delete message.sources;
  let reason = "stop", isLoop = false;
  const timer = setInterval(() => changed(clock.status), 500);
  changed(clock.status);
  try {
    const request = {method: "POST", body, signal: circles.signal};
    for await (const event of server.events("v1/chat/completions", request)) {
      if (event.prompt_progress) clock.read(event.prompt_progress);
      const choice = event.choices?.[0], delta = choice?.delta ?? {};
      if (delta.reasoning_content) {
        clock.token(true);
        message.reasoning = (message.reasoning || "") + delta.reasoning_content;
      }
      if (delta.content) {
        clock.token(false);
        message.content += delta.content;
      }
      if (delta.annotations) message.sources = sources(delta.annotations);
      if (choice?.finish_reason) reason = choice.finish_reason;
      if (event.usage) message.costs = costs(event, clock);
      if (delta.content || delta.reasoning_content || event.prompt_progress) changed(clock.status);
      if (stopsLoops && message.content.length >= searched + loopStep) {
        searched = message.content.length;
        isLoop = findLoop(message.content) !== null;
      }
      if (stopsLoops && (message.reasoning || "").length >= thoughtsSearched + loopStep) {
        thoughtsSearched = message.reasoning.length;
        isLoop ||= findLoop(message.reasoning) !== null;
      }
      if (isLoop) { stop(); break; }
    }
    message.ended = isLoop ? "loop" : reason === "length" ? "length" : "stop";
  } catch (error) {
    if (isLoop || signal.aborted) {
      message.ended = isLoop ? "loop" : "stopped";
    } else {
      message.ended = "error";
      throw error;
    }
  } finally {
    clearInterval(timer);
    signal.removeEventListener("abort", stop);
    if (!message.costs && clock.count) message.costs = clock.status;
  }
}

/** What goes on, in words, by a clock of the page's own. */
class AnswerClock {
  constructor(model) {
    this.start = performance.now();
    this.first = 0;
    this.count = 0;
    this.progress = null;
    this.thinks = false;
    this.left = new TimeLeft({growth: expectedGrowth(model?.meta?.n_embd)});
  }

  static seconds(from) { return (performance.now() - from) / 1000; }

  read(progress) {
    this.progress = progress;
    const now = performance.now() / 1000;
    this.left.add(progress.processed, now);
    if (typeof progress.seconds_left === "number") this.left.expect(progress.seconds_left, now);
  }

  token(isThought) {
    this.first ||= performance.now();
    this.count += 1;
    this.thinks = isThought;
  }

  get status() {
    const waited = duration(AnswerClock.seconds(this.start));
    if (this.first) {
      const seconds = AnswerClock.seconds(this.first);
      const rate = this.count > 1 && seconds > 0 ? (this.count / seconds).toFixed(1) + " tokens/s" : "";
      return (this.thinks ? ["thinking for " + duration(seconds), rate] : [rate]).filter(Boolean).join(" · ");
    }
    const {progress} = this;
    if (progress && progress.processed < progress.total) {
      const left = this.left.left(progress.total, performance.now() / 1000);
      const parts = [`reading ${number(progress.processed)} of ${number(progress.total)} tokens`];
      if (progress.cache) parts.push(number(progress.cache) + " of them from memory");
      if (left !== null) parts.push(duration(left) + " left");
      return parts.join(", ");
    }
    return "waiting for " + waited;
  }
}

/**
 * The passages that an answer came from, each once, in the order of the answer.
 *
 * @returns {{name: string, place: string, text: string, start: number, end: number}[]} with offsets in bytes of UTF-8
 */
export function sources(annotations) {
  const found = new Map();
  for (const {url_citation: citation} of annotations) {
    if (!citation) continue;
    const {title: name, place = "", cited_text: text, start_byte: start, end_byte: end} = citation;
    found.set(`${name} ${start} ${end}`, {name, place, text, start, end});
  }
  return [...found.values()];
}

/** What an answer cost, in words. */
function costs({usage, statistics = {}}, clock) {
  const parts = [
    number(usage.completion_tokens) + " tokens", (statistics.tokens_per_second || 0).toFixed(1) + " tokens/s",
  ];
  if (clock.first) parts.push("first after " + ((clock.first - clock.start) / 1000).toFixed(2) + " s");
  const {prompt_tokens: prompt, prompt_tokens_details: {cached_tokens: cached}} = usage;
  parts.push(`${number(cached)} of ${number(prompt)} prompt tokens from memory`);
  const {context_read: read} = statistics;
  if (read !== undefined) parts.push((100 * read).toFixed(0) + " % of the context read");
  return parts.join(" · ");
}

// The conversation on the page: questions, answers, and what can be done with them.

import {advice, ServerError} from "./api.mjs";
import {path, versions} from "./conversations.mjs";
import {copy, element, icon, iconButton, textButton} from "./dom.mjs";
import {MarkdownView} from "./view.mjs";

/** How near to its end, in pixels, a log is held there when it grows. */
const endDistance = 80;

/** Which button of which message an element is, to find it again when the log is made anew. */
const place = button => ({
  message: button.closest("article")?.dataset.message, label: button.getAttribute("aria-label") ?? button.textContent,
});

/** Shows the path of a conversation. */
export class Log {
  /**
   * @param {HTMLElement} root - what scrolls
   * @param {object} actions - what the buttons do: `regenerate`, `goOn`, `edit`, `select`, each with a message,
   *   and `openPassage` with one of its sources
   */
  constructor(root, actions) {
    this.root = root;
    this.actions = actions;
    this.views = new Map();
    /** Answers whose thoughts somebody unfolded. */
    this.unfolded = new Set();
    this.column = element("div", {class: "column"});
    root.append(this.column);
  }

  /**
   * Shows a conversation.
   *
   * @param {object} conversation
   * @param {object} state
   * @param {object | null} state.running - the answer that is being written: its `message` and `status`
   * @param {object | null} state.model - the server's card of its model
   * @param {HTMLElement} state.empty - what stands there as long as nothing was asked
   */
  show(conversation, {running, model, empty}) {
    this.model = model;
    this.running = running;
    const wasAtEnd = this.isAtEnd || this.shown !== conversation.id;
    const focused = this.column.contains(document.activeElement) ? place(document.activeElement) : null;
    this.shown = conversation.id;
    this.views.clear();
    const messages = path(conversation);
    this.column.replaceChildren(...messages.map(message => this.article(conversation, message)));
    if (!messages.length) this.column.append(empty);
    if (wasAtEnd) this.toEnd();
    if (focused) this.focus(focused);
  }

  /** Goes to the button that has the place of one that was there before. */
  focus({message, label}) {
    const article = [...this.column.children].find(child => child.dataset.message === message);
    const same = [...(article?.querySelectorAll("[aria-label], summary") ?? [])].find(other => place(other).label === label);
    (same ?? article?.querySelector("button"))?.focus();
  }

  get isAtEnd() { return this.root.scrollHeight - this.root.scrollTop - this.root.clientHeight < endDistance; }
  toEnd() { this.root.scrollTop = this.root.scrollHeight; }

  /** Shows more of an answer that is being written, with what goes on in words. */
  update(message, status) {
    const view = this.views.get(message.id);
    if (!view) return;
    const wasAtEnd = this.isAtEnd;
    this.fill(view, message);
    view.status.textContent = status;
    if (wasAtEnd) this.toEnd();
  }

  article(conversation, message) {
    const article = message.role === "user" ? this.question(conversation, message) : this.answer(conversation, message);
    article.dataset.message = message.id;
    return article;
  }

  question(conversation, message) {
    const text = element("div", {class: "text", text: message.content});
    const copyButton = iconButton("copy", "Copy the question", () => copy(message.content, copyButton));
    const article = element("article", {class: "question", "aria-label": "Question"}, text);
    const edit = () => this.edit(article, message);
    const editButton = iconButton("edit", "Edit the question and go on from there", edit, {class: "icon edit"});
    article.append(element("div", {class: "actions"}, ...this.versions(conversation, message), copyButton, editButton));
    return article;
  }

  /** Opens a question's text for other words. */
  edit(article, message) {
    const rows = Math.min(12, message.content.split("\n").length + 1);
    const field = element("textarea", {"aria-label": "Question", rows});
    field.value = message.content;
    const end = () => {
      form.replaceWith(...before);
      article.classList.remove("edited");
      article.querySelector(".edit").focus();
    };
    const send = () => {
      const text = field.value.trim();
      if (text) this.actions.edit(message, text); else end();
    };
    field.onkeydown = event => {
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
      if (event.key === "Escape") { event.stopPropagation(); end(); }
    };
    const form = element("div", {class: "editing"}, field, element("div", {class: "row"},
      textButton("Cancel", end), element("button", {type: "button", text: "Ask this", onclick: send})));
    const before = [...article.childNodes];
    article.classList.add("edited");
    article.replaceChildren(form);
    field.focus();
  }

  answer(conversation, message) {
    const isRunning = this.running?.message === message;
    const thoughtsText = element("div", {class: "markdown"}), text = element("div", {class: "markdown"});
    const thoughts = element("details", {
      class: "thoughts", open: this.unfolded.has(message.id),
      ontoggle: () => { if (thoughts.open) this.unfolded.add(message.id); else this.unfolded.delete(message.id); },
    }, element("summary", {text: "Thoughts"}), thoughtsText);
    const status = element("span", {class: "costs", text: isRunning ? this.running.status : message.costs ?? ""});
    const view = {thoughts, status, thoughtsView: new MarkdownView(thoughtsText), textView: new MarkdownView(text)};
    this.views.set(message.id, view);
    this.fill(view, message);
    const foot = element("div", {class: "actions"});
    if (isRunning) {
      foot.append(element("span", {class: "busy", "aria-hidden": "true"}));
    } else {
      const copyButton = iconButton("copy", "Copy the answer", () => copy(message.content, copyButton));
      foot.append(...this.versions(conversation, message), message.content ? copyButton : "",
        iconButton("again", "Answer again", () => this.actions.regenerate(message)));
    }
    foot.append(status);
    const busy = isRunning ? "true" : null;
    const article = element("article", {class: "answer", "aria-label": "Answer", "aria-busy": busy}, thoughts, text);
    if (!isRunning) article.append(...this.notice(message), ...this.sources(message));
    article.append(foot);
    return article;
  }

  /** The passages that an answer came from; each opens the document there. */
  sources(message) {
    const list = message.sources ?? [];
    if (!list.length) return [];
    const entries = list.map(source => {
      const where = source.place ? `${source.name}, ${source.place}` : source.name;
      const text = source.text.replace(/\s+/g, " ").trim();
      const button = textButton(`${where}: “${text.length > 160 ? text.slice(0, 159) + "…" : text}”`,
        () => this.actions.openPassage(source));
      return element("li", {}, button);
    });
    return [element("section", {class: "sources", "aria-label": "Where it comes from"},
      element("h3", {text: "From"}), element("ol", {}, ...entries))];
  }

  fill(view, message) {
    view.thoughts.hidden = !message.reasoning;
    if (message.reasoning) view.thoughtsView.show(message.reasoning);
    view.textView.show(message.content);
  }

  /** How an answer ended, where it is not complete, and what to do. */
  notice(message) {
    const goOn = (label = "Go on") => (message.content ? textButton(label, () => this.actions.goOn(message)) : null);
    const again = () => textButton("Ask again", () => this.actions.regenerate(message));
    const say = (text, ...buttons) =>
      [element("div", {class: "notice"}, element("span", {text}), ...buttons.filter(Boolean))];
    switch (message.ended) {
      case "open": return say("The page was left before this answer was complete.", goOn(), again());
      case "length": return say("The answer is as long as the settings let it be.", goOn());
      case "stopped": return say("Stopped.", goOn());
      case "loop": return say("The answer went in circles, so it was stopped.", goOn("Go on anyway"), again());
      case "error": {
        const {text, code} = message.error ?? {text: "The answer failed.", code: ""};
        // While the server is gone, the page says so above.
        const help = code === "gone" ? ""
          : advice(new ServerError(text, {code}), {what: message.error?.what ?? "answer", model: this.model});
        const box = element("div", {class: "notice error", role: "alert"}, icon("warning"),
          element("span", {text: [text, help].filter(Boolean).join(" ")}));
        box.append(...[goOn(), again()].filter(Boolean));
        return [box];
      }
      default: return [];
    }
  }

  /** Arrows between the versions of a message; nothing where there is one. */
  versions(conversation, message) {
    const list = versions(conversation, message), place = list.indexOf(message);
    if (list.length < 2 || this.running) return [];
    const step = (name, label, other) =>
      iconButton(name, label, () => this.actions.select(other), {disabled: !other});
    return [element("span", {class: "versions"}, step("left", "Version before", list[place - 1]),
      element("span", {text: `${place + 1}/${list.length}`, "aria-label": `Version ${place + 1} of ${list.length}`}),
      step("right", "Next version", list[place + 1]))];
  }
}

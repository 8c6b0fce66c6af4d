// The lists of conversations and of documents.

import {$, element, icon, iconButton} from "./dom.mjs";

/** Keeps the focus where it was in a list that is made anew. */
function replace(list, rows) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  list.replaceChildren(...rows);
  if (focused) [...list.querySelectorAll("[data-key]")].find(other => other.dataset.key === focused)?.focus();
}

/**
 * Shows the conversations, the last one that changed first.
 *
 * @param {object[]} conversations
 * @param {string} current - the identifier of the one that is shown
 * @param {Set<string>} running - those in which an answer is being written
 * @param {object} actions - `open`, `rename` and `delete`, each with a conversation
 */
export function showConversations(conversations, current, running, actions) {
  const rows = [...conversations].sort((a, b) => b.changed - a.changed).map(conversation => {
    const {id} = conversation, name = conversation.title || "Untitled", isCurrent = id === current;
    const open = element("button", {
      type: "button", class: "name", "data-key": id, "aria-current": isCurrent ? "true" : null, title: name,
      onclick: () => actions.open(conversation),
    }, element("span", {class: "title", text: name}));
    if (running.has(id)) open.append(element("span", {class: "busy", role: "img", "aria-label": "being answered"}));
    return element("li", {class: isCurrent ? "current" : null}, open, element("span", {class: "tools"},
      iconButton("edit", `Rename “${name}”`, () => actions.rename(conversation), {"data-key": id + "rename"}),
      iconButton("trash", `Delete “${name}”`, () => actions.delete(conversation), {"data-key": id + "delete"})));
  });
  replace($("conversations"), rows);
  $("no-conversations").hidden = rows.length > 0;
}

/**
 * Shows the documents.
 *
 * @param {import("./documents.mjs").Documents} documents
 * @param {string} chosen - the identifier of the one that the conversation is about
 * @param {object} actions - `choose`, `show`, `read` and `delete`, each with a document
 */
export function showDocuments(documents, chosen, actions) {
  const rows = documents.list.map(item => {
    const {id, name} = item, isChosen = id === chosen, isReading = documents.waiting.has(id);
    const choose = element("button", {
      type: "button", class: "name", "data-key": id, "aria-pressed": isChosen ? "true" : "false", title: name,
      onclick: () => actions.choose(item),
    }, element("span", {class: "title", text: name}), element("span", {class: "about", text: documents.state(item)}));
    const tools = element("span", {class: "tools"});
    if (!item.isForeign) {
      tools.append(iconButton("document", `Show ${name}`, () => actions.show(item), {"data-key": id + "show"}));
    }
    if (!isReading && !documents.session(item)?.read_only) {
      tools.append(iconButton("trash", `Delete ${name}`, () => actions.delete(item), {"data-key": id + "delete"}));
    }
    return element("li", {class: isChosen ? "current" : null}, icon("document"), choose, tools);
  });
  replace($("documents"), rows);
  $("no-documents").hidden = rows.length > 0;
}

// Elements, icons, dialogs: what all parts of the page are made with.

/** An element of the page by its identifier. */
export const $ = id => document.getElementById(id);

/** A new element: functions are handlers, `text` is its text, everything else an attribute. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (typeof value === "function") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

/** One of the icons that the page's file draws. */
export function icon(name) {
  const drawn = $("icons").content.querySelector(`[data-icon="${name}"]`);
  return drawn.cloneNode(true);
}

/** A button with an icon, whose name is for screen readers and for a pointer that rests on it. */
export function iconButton(name, label, onclick, attributes = {}) {
  const all = {type: "button", class: "icon", "aria-label": label, title: label, onclick, ...attributes};
  return element("button", all, icon(name));
}

/** A button with words. */
export function textButton(label, onclick, attributes = {}) {
  return element("button", {type: "button", class: "quiet", text: label, onclick, ...attributes});
}

/** Tells something to who listens to the page. Answers are told when they are complete, not token by token. */
export function announce(text) {
  const region = $("announcement");
  region.textContent = "";
  // The same words twice are two announcements.
  setTimeout(() => { region.textContent = text; }, 50);
}

/** Goes to the question, but not where that would cover half of the screen with a keyboard. */
export function goToQuestion() {
  if (!matchMedia("(hover: none)").matches) $("question").focus();
}

/** Copies a text, and shows on the button that it did. */
export async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Browsers keep the clipboard from pages without TLS that come from another machine.
    const area = element("textarea", {class: "unseen", "aria-hidden": "true"});
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  const before = button.firstChild, done = icon("check");
  before.replaceWith(done);
  announce("Copied.");
  setTimeout(() => done.replaceWith(before), 1500);
}

/**
 * Asks something in a dialog.
 *
 * @param {object} question
 * @param {string} question.title
 * @param {string} [question.text]
 * @param {string} question.action - the name of the button that agrees
 * @param {string} [question.value] - a text to be changed; without one it is a question of yes or no
 * @returns {Promise<string | boolean | null>} the text, or true; null for no
 */
export function ask({title, text = "", action, value}) {
  const dialog = $("question-dialog"), field = $("question-dialog-field");
  $("question-dialog-title").textContent = title;
  $("question-dialog-text").textContent = text;
  $("question-dialog-yes").textContent = action;
  field.hidden = value === undefined;
  field.value = value ?? "";
  return new Promise(resolve => {
    let agreed = false;
    const agree = () => { agreed = true; dialog.close(); };
    $("question-dialog-yes").onclick = agree;
    $("question-dialog-no").onclick = () => dialog.close();
    field.onkeydown = event => {
      if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); agree(); }
    };
    dialog.onclose = () => resolve(agreed ? (value === undefined ? true : field.value.trim() || null) : null);
    dialog.showModal();
    if (value !== undefined) field.select(); else $("question-dialog-no").focus();
  });
}

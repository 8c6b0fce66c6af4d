// Where things are: beside the conversation on wide screens, in drawers over it on narrow ones; and the keyboard.

import {$, announce, goToQuestion} from "./dom.mjs";
import {recall, remember} from "./store.mjs";

/** As in the style sheet. */
const narrow = matchMedia("(max-width: 60rem)");

/** A part of the page that can be put away. */
class Drawer {
  constructor(name, {button, isOpen}) {
    this.name = name;
    this.button = button;
    this.isOpen = isOpen;
    this.returnsTo = null;
    this.apply();
  }

  get part() { return $(this.name); }

  set(isOpen, focus = true) {
    if (isOpen === this.isOpen) return;
    this.isOpen = isOpen;
    if (isOpen) this.returnsTo = document.activeElement;
    this.apply();
    if (isOpen && narrow.matches && focus) this.part.querySelector("button:not([hidden])")?.focus();
    if (!isOpen && (narrow.matches || this.part.contains(document.activeElement))) {
      if (this.returnsTo?.isConnected && this.returnsTo !== document.body) this.returnsTo.focus(); else goToQuestion();
    }
  }

  apply() {
    document.body.dataset[this.name] = this.isOpen ? "open" : "closed";
    this.part.hidden = !this.isOpen;
    this.button?.setAttribute("aria-expanded", String(this.isOpen));
    // What a drawer covers can be reached neither by Tab nor by a finger.
    const covers = narrow.matches && (document.body.dataset.sidebar === "open" || document.body.dataset.pane === "open");
    $("main").inert = covers;
    $("cover").hidden = !covers;
  }
}

/** Makes the drawers: the lists, open on wide screens, and the document. */
export function makeDrawers(closePane) {
  const sidebar = new Drawer("sidebar", {button: $("menu"), isOpen: !narrow.matches && recall("sidebar", true)});
  const pane = new Drawer("pane", {button: $("show-document"), isOpen: false});
  const toggle = isOpen => {
    sidebar.set(isOpen);
    if (!narrow.matches) remember("sidebar", isOpen);
  };
  $("menu").onclick = () => toggle(!sidebar.isOpen);
  $("close-sidebar").onclick = () => toggle(false);
  $("cover").onclick = () => { if (pane.isOpen) closePane(); else toggle(false); };
  narrow.addEventListener("change", () => {
    sidebar.set(!narrow.matches && recall("sidebar", true), false);
    sidebar.apply();
    pane.apply();
  });
  return {
    pane, isNarrow: () => narrow.matches,
    /** After something was chosen in a drawer. */
    leaveSidebar() { if (narrow.matches) sidebar.set(false); },
    /** What Escape closes first; false where nothing is open over the conversation. */
    closeCover() {
      if (!narrow.matches || (!sidebar.isOpen && !pane.isOpen)) return false;
      if (pane.isOpen) closePane(); else sidebar.set(false);
      return true;
    },
  };
}

/**
 * The keys that work everywhere on the page.
 *
 * @param {object} actions - `begin`, `stop` (false where nothing runs), `editLast`, `closeCover`, `closePane`
 */
export function listenToKeys(actions) {
  addEventListener("keydown", event => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
    const isTyping = event.target.matches?.("input, textarea, select");
    const isCommand = (event.ctrlKey || event.metaKey) && event.shiftKey;
    if (event.key === "Escape") {
      if (actions.closeCover() || actions.stop()) event.preventDefault(); else actions.closePane();
    } else if (isCommand && event.key.toLowerCase() === "o") {
      event.preventDefault();
      actions.begin();
      announce("New chat.");
    } else if (event.key === "/" && !isTyping) {
      event.preventDefault();
      $("question").focus();
    } else if (event.key === "ArrowUp" && event.target === $("question") && !event.target.value) {
      event.preventDefault();
      actions.editLast();
    }
  });
}

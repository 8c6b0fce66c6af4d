// The dialog of settings.

import {$} from "./dom.mjs";
import {defaults, problem} from "./settings.mjs";
import {recall, remember} from "./store.mjs";

const names = Object.keys(defaults);
const field = name => $("setting-" + name);

/** Applies "light", "dark" or "" for what the system says. */
function applyTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme; else delete document.documentElement.dataset.theme;
  remember("theme", theme);
}

/**
 * Shows settings and returns what they were changed to.
 *
 * @param {object} settings
 * @returns {Promise<object | null>} null where they were not changed
 */
export function changeSettings(settings) {
  const dialog = $("settings-dialog"), error = $("settings-error"), theme = $("setting-theme");
  const fill = values => {
    for (const name of names) {
      if (typeof values[name] === "boolean") field(name).checked = values[name]; else field(name).value = values[name];
    }
  };
  fill(settings);
  error.textContent = "";
  theme.value = recall("theme", "");
  theme.onchange = () => applyTheme(theme.value);
  $("settings-defaults").onclick = () => { fill(defaults); error.textContent = ""; };
  return new Promise(resolve => {
    let changed = null;
    $("settings-save").onclick = () => {
      const values = Object.fromEntries(names.map(name => {
        const input = field(name);
        return [name, input.type === "checkbox" ? input.checked : input.value];
      }));
      error.textContent = problem(values) ?? "";
      if (error.textContent) return;
      changed = values;
      dialog.close();
    };
    $("settings-cancel").onclick = () => dialog.close();
    dialog.onclose = () => resolve(changed);
    dialog.showModal();
  });
}

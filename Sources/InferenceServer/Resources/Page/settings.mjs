// What people choose for their questions: what the model is told first, and how it samples.

/** Of a new page. Empty texts leave a value to the server. */
export const defaults = {
  system: "", temperature: "0.3", top_p: "", top_k: "", repetition_penalty: "1.1", seed: "", max_tokens: "2048",
  reasoning: "", stopsLoops: true,
};

/** The numbers, with what the server takes. */
export const numbers = {
  temperature: {least: 0, most: 2}, top_p: {least: 0, most: 1}, top_k: {least: 0, most: 2147483647, isWhole: true},
  repetition_penalty: {least: 0.01, most: 10}, seed: {least: 0, most: 4294967294, isWhole: true},
  max_tokens: {least: 1, most: 2147483647, isWhole: true},
};

/** Settings from what was stored, where anything can be. */
export function fromRecord(record) {
  const settings = {...defaults};
  for (const [name, value] of Object.entries(defaults)) {
    if (record && typeof record[name] === typeof value) settings[name] = record[name];
  }
  return settings;
}

/** A sentence on the first number that the server would not take; null where all are right. */
export function problem(settings) {
  for (const [name, {least, most, isWhole}] of Object.entries(numbers)) {
    const text = settings[name].trim();
    if (!text) continue;
    const value = Number(text);
    if (!(value >= least && value <= most) || (isWhole && !Number.isInteger(value))) {
      const kind = isWhole ? "a whole number" : "a number";
      return `${name} has to be ${kind} from ${least} to ${most}, not “${text}”.`;
    }
  }
  return null;
}

/** The fields of a request of /v1/chat/completions. */
export function fields(settings) {
  const body = {};
  for (const name of Object.keys(numbers)) {
    if (settings[name].trim() && problem({...defaults, [name]: settings[name]}) === null) body[name] = Number(settings[name]);
  }
  switch (settings.reasoning) {
    case "on": body.enable_thinking = true; break;
    case "off": body.enable_thinking = false; break;
    case "low": case "medium": case "high": body.reasoning_effort = settings.reasoning; break;
  }
  return body;
}

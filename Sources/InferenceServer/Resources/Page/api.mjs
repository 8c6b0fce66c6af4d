// The server, as the page asks it.

/** An answer of the server that is an error, or none at all. */
export class ServerError extends Error {
  /**
   * @param {string} message - a sentence
   * @param {object} [about]
   * @param {number} [about.status] - of HTTP; 0 where nothing came
   * @param {string} [about.code] - the server's word for it; "gone" where nothing came, "cut" where the end did not
   */
  constructor(message, {status = 0, code = ""} = {}) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const gone = () => new ServerError("The server does not answer.", {code: "gone"});
const wasStopped = error => error.name === "AbortError";

/** Requests, with the key that the server asks for. */
export class Server {
  /** @param {string} key - empty for none */
  constructor(key = "") { this.key = key; }

  /**
   * Sends a request; `path` is one below the page's.
   *
   * @throws {ServerError} and what `fetch` throws for a signal
   */
  async call(path, {method = "GET", body, signal} = {}) {
    const headers = body === undefined ? {} : {"Content-Type": "application/json"};
    if (this.key) headers.Authorization = "Bearer " + this.key;
    let response;
    try {
      response = await fetch(path, {method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body)});
    } catch (error) {
      if (wasStopped(error)) throw error;
      throw gone();
    }
    if (response.ok) return response;
    let message = "The server answered with status " + response.status + ".", code = "";
    try { ({message, code} = (await response.json()).error); } catch {}
    throw new ServerError(message, {status: response.status, code: code || ""});
  }

  async json(path, options) { return (await this.call(path, options)).json(); }

  /** The objects of an answer that comes as server-sent events, up to `[DONE]`. */
  async * events(path, options) {
    const response = await this.call(path, options);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let buffer = "";
    for (;;) {
      let piece;
      try {
        piece = await reader.read();
      } catch (error) {
        if (wasStopped(error)) throw error;
        piece = {done: true};
      }
      if (piece.done) throw new ServerError("The connection ended before the answer did.", {code: "cut"});
      buffer += piece.value;
      let end;
      while ((end = buffer.indexOf("\n\n")) >= 0) {
        const data = buffer.slice(0, end).replace(/^data: /, "");
        buffer = buffer.slice(end + 2);
        if (data === "[DONE]") return;
        const event = JSON.parse(data);
        if (event.error) throw new ServerError(event.error.message, {status: 200, code: event.error.code || ""});
        yield event;
      }
    }
  }
}

/**
 * What to do about an error, in a sentence behind the server's own; empty where that says it.
 *
 * @param {ServerError} error
 * @param {object} about
 * @param {"document" | "answer"} about.what - what was asked for
 * @param {object | null} about.model - the server's card of its model
 */
export function advice(error, {what, model}) {
  const limit = model?.context_length, trained = model?.meta?.n_ctx_train;
  const more = trained > limit
    ? ` Or start the server with a larger --context: this model was trained for ${trained.toLocaleString("en")} tokens.` : "";
  switch (error.code) {
    case "gone": return "See whether “ra serve” is still running. This page tries again by itself.";
    case "cut": return "See whether “ra serve” is still running. Then go on, or ask again.";
    case "context_length_exceeded":
      return what === "document"
        ? `The document, a question and its answer have to fit into ${(limit ?? 0).toLocaleString("en")} tokens: `
          + "take a shorter one, or a part of it." + more
        : "Begin a new chat, or lower the longest answer in the settings." + more;
    case "out_of_memory": return "Delete documents that are not needed, or start the server with more --memory.";
    case "request_too_large": return "Take a part of it, or start the server with a larger --max-request.";
    case "session_not_found": return "Add the document again.";
    case "queue_full": case "draining": case "too_many_connections": return "Then ask again.";
  }
  return "";
}

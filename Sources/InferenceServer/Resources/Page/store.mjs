// What the browser keeps: conversations and documents in IndexedDB, small choices in its local storage. Nothing of it
// is sent anywhere but to the server that is asked.

/** Kinds of records in the database. Texts of documents are apart from their names, which are needed at once. */
const kinds = ["conversations", "documents", "texts"];

const result = request => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

/** Records with an `id`, in the browser's database; in memory where a browser has none for this page. */
export class Store {
  constructor(database) {
    this.database = database;
    this.memory = new Map(kinds.map(kind => [kind, new Map()]));
  }

  static async open() {
    try {
      const request = indexedDB.open("ra", 1);
      request.onupgradeneeded = () => kinds.forEach(kind => request.result.createObjectStore(kind, {keyPath: "id"}));
      return new Store(await result(request));
    } catch {
      return new Store(null);
    }
  }

  /** Whether records outlive the page. */
  get isKept() { return this.database !== null; }

  objects(kind, mode) { return this.database.transaction(kind, mode).objectStore(kind); }

  async all(kind) {
    return this.database ? result(this.objects(kind, "readonly").getAll()) : [...this.memory.get(kind).values()];
  }

  async get(kind, id) {
    return this.database ? result(this.objects(kind, "readonly").get(id)) : this.memory.get(kind).get(id);
  }

  async put(kind, record) {
    if (this.database) await result(this.objects(kind, "readwrite").put(record));
    else this.memory.get(kind).set(record.id, structuredClone(record));
  }

  async delete(kind, id) {
    if (this.database) await result(this.objects(kind, "readwrite").delete(id));
    else this.memory.get(kind).delete(id);
  }
}

/** A small value that outlives the page, or `otherwise` where none is kept or it cannot be read. */
export function recall(name, otherwise) {
  try { return JSON.parse(localStorage.getItem("ra." + name)) ?? otherwise; } catch { return otherwise; }
}

/** Keeps a small value; a browser that keeps none loses it with the page. */
export function remember(name, value) {
  try { localStorage.setItem("ra." + name, JSON.stringify(value)); } catch {}
}

/** As `recall`, of this tab: other tabs show other conversations. */
export function recallHere(name, otherwise) {
  try { return JSON.parse(sessionStorage.getItem("ra." + name)) ?? otherwise; } catch { return otherwise; }
}

/** As `remember`, of this tab. */
export function rememberHere(name, value) {
  try { sessionStorage.setItem("ra." + name, JSON.stringify(value)); } catch {}
}

// One file to one signed URL by tus 1.0 (https://tus.io), in pieces, over connections that break and URLs that expire.

const PIECE = 8 * 1024 * 1024; // bytes; smaller pieces are slower, larger ones lose more with a connection
const WAITS = [1, 2, 4, 8, 15]; // seconds before each further try
const SILENCE = 60; // seconds without a byte after which a connection is given up
const FINAL = ["QUOTA_EXCEEDED", "STORAGE_FULL"]; // the same request is refused again until somebody makes room
const TUS = { "Tus-Resumable": "1.0.0" };

// What the store answered instead of doing what it was asked; `problem` is its JSON object, or null.
export class Refusal extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? `The store answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

// The file cannot be read any more: it was changed, moved or deleted.
export class FileGone extends Error {}

// The page talks to the host that it came from, whatever the store's public URL is.
function local(url) {
  const { pathname, search } = new URL(url, location.href);
  return pathname + search;
}

async function call(method, path, body, more = {}) {
  const headers = body ? { "Content-Type": "application/json", ...more } : more;
  const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refusal(response.status, answer);
  return [response, answer];
}

export class Transfer {
  #request = null;
  #wake = () => {};
  #stale = false; // the URL has to be renewed
  #renewed = false; // and was, since the last piece
  #key = `"${Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(16)).join("-")}"`;
  offset = 0;
  paused = false;
  cancelled = false;

  // `ticket` is that of an upload to continue, plain data that a reload of the page can keep, or null. `watch` has
  // progress(bytes), state(text) and ticket(ticket), which is called when the ticket changes.
  constructor(app, file, ticket, watch) {
    Object.assign(this, { app, file, ticket, watch });
    addEventListener("online", () => this.#wake());
  }

  // The version that the upload became. Throws Refusal or FileGone when trying again would not help.
  async run() {
    for (let failures = 0; !this.cancelled;) {
      try {
        if (this.paused) await this.#sleep(Infinity, "Paused.");
        else if (await this.#send(() => { failures = 0; })) return await this.#complete();
      } catch (error) {
        if (!this.paused && !this.cancelled) {
          await this.#mend(error, WAITS[Math.min(failures, WAITS.length - 1)]);
          failures += 1;
        }
      }
    }
    return null;
  }

  pause() {
    this.paused = true;
    this.#request?.abort();
    this.#wake();
  }

  resume() {
    this.paused = false;
    this.#wake();
  }

  async cancel() {
    this.cancelled = true;
    this.#request?.abort();
    this.#wake();
    if (this.ticket) await fetch(local(this.ticket.url), { method: "DELETE", headers: TUS }).catch(() => null);
  }

  // Whether the whole file has arrived.
  async #send(progressed) {
    if (!this.ticket) await this.#open();
    else if (this.#stale) await this.#renew();
    const found = await fetch(local(this.ticket.url), { method: "HEAD", headers: TUS });
    if (found.status === 409) return true; // it was completed, or failed: the next request says which
    if (!found.ok) throw new Refusal(found.status, null);
    const arrived = Number(found.headers.get("Upload-Offset"));
    if (arrived > this.offset) progressed();
    this.offset = arrived;
    this.watch.state("Uploading…");
    while (this.offset < this.file.size && !this.paused && !this.cancelled) {
      this.watch.progress(this.offset);
      this.offset = await this.#piece();
      this.#renewed = false;
      progressed();
    }
    this.watch.progress(this.offset);
    return this.offset >= this.file.size;
  }

  #piece() {
    return new Promise((resolve, reject) => {
      const request = this.#request = new XMLHttpRequest(); // fetch has no progress of a body
      let silent = 0;
      const alive = () => { clearTimeout(silent); silent = setTimeout(() => request.abort(), SILENCE * 1000); };
      request.open("PATCH", local(this.ticket.url));
      for (const [name, value] of Object.entries(TUS)) request.setRequestHeader(name, value);
      request.setRequestHeader("Upload-Offset", this.offset);
      request.setRequestHeader("Content-Type", "application/offset+octet-stream");
      request.upload.onprogress = (event) => { alive(); this.watch.progress(this.offset + event.loaded); };
      request.onloadend = () => {
        clearTimeout(silent);
        this.#request = null;
        if (request.status === 204) resolve(Number(request.getResponseHeader("Upload-Offset")));
        else reject(request.status ? new Refusal(request.status, parsed(request.responseText)) : new Error("cut"));
      };
      alive();
      request.send(this.file.slice(this.offset, this.offset + PIECE));
    });
  }

  async #complete() {
    this.watch.state("Checking the package…");
    for (;;) {
      const [response, version] = await call("POST", `/console/apps/${this.app}/uploads/${this.ticket.id}/complete`);
      if (response.status !== 202) return version;
      await this.#sleep(Number(response.headers.get("Retry-After") ?? 2), "Checking the package…");
    }
  }

  async #mend(error, seconds) {
    const status = error instanceof Refusal ? error.status : 0;
    if (FINAL.includes(error.problem?.code)) throw error;
    if (status === 403 && !this.#renewed) { // HEAD has no body that could say that the URL has expired
      this.#stale = true;
      return;
    }
    if (error.problem?.code === "OFFSET_CONFLICT") return;
    const busy = status === 423 || status === 429 || status >= 500 || error.problem?.code === "IDEMPOTENCY_CONFLICT";
    if (status && !busy) throw error;
    await this.file.slice(0, 1).arrayBuffer().catch(() => { throw new FileGone(); });
    await this.#sleep(seconds, "The connection is lost. Trying again…");
  }

  // The key makes the request safe to repeat: a lost answer leaves no second upload behind.
  async #open() {
    const size = this.file.size;
    const [, made] = await call("POST", `/api/apps/${this.app}/uploads`, { size }, { "Idempotency-Key": this.#key });
    this.ticket = { id: made.upload_id, url: made.url, name: this.file.name, size };
    this.watch.ticket(this.ticket);
  }

  async #renew() {
    const [, renewed] = await call("POST", `/api/uploads/${this.ticket.id}/url`);
    this.ticket = { ...this.ticket, url: renewed.url };
    this.watch.ticket(this.ticket);
    this.#stale = false;
    this.#renewed = true;
  }

  #sleep(seconds, state) {
    this.watch.state(state);
    return new Promise((resolve) => {
      this.#wake = resolve;
      if (seconds < Infinity) setTimeout(resolve, seconds * 1000);
    });
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

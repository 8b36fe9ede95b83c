// The room's REST: the state, and commands that do no harm when they arrive twice.

const AGAIN = [300, 1000, 2000]; // milliseconds between attempts when the server is out of reach

/** What the server said no with; `status` is HTTP's. */
export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class RoomApi {
  constructor(app, room, token) {
    this.app = app;
    this.room = room;
    this.token = token;
    this.base = `/v1/rooms/${encodeURIComponent(app)}/${encodeURIComponent(room)}`;
  }

  /** The whole state. Throws Problem (404: there is no such room), or what fetch throws. */
  async state() {
    return this.#ask("GET", this.base);
  }

  /** Open the room: {kind: "video" | "voice", free, title}. */
  async open(options) {
    return this.#ask("POST", "/v1/rooms", { app: this.app, room: this.room, ...options });
  }

  /** A command: do("seats/own/mute", {medium: "camera"}). Sent again, with the same key, until
   * the server has answered: whether one arrived that was not answered nobody knows. */
  async do(path, body = {}) {
    const key = newKey();
    for (const wait of AGAIN) {
      try {
        return await this.#ask("POST", `${this.base}/${path}`, { ...body, key });
      } catch (error) {
        if (error instanceof Problem) throw error;
        await new Promise((done) => { setTimeout(done, wait); });
      }
    }
    return this.#ask("POST", `${this.base}/${path}`, { ...body, key });
  }

  /** Ask another room for a PK, or agree to the one that it asks for. */
  async battle(other, seconds) {
    return this.#ask("POST", `${this.base}/pk`, { with: other, seconds });
  }

  /** End the PK, take back what was asked for; with another room: decline what it asks for. */
  async endBattle(other = "") {
    const query = other ? `?with=${encodeURIComponent(other)}` : "";
    return this.#ask("DELETE", `${this.base}/pk${query}`);
  }

  /** End the room. */
  async close() {
    return this.#ask("DELETE", this.base);
  }

  async #ask(method, url, body) {
    const headers = this.token ? { Authorization: `Bearer ${this.token}` } : {};
    if (body) headers["Content-Type"] = "application/json";
    const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Problem(answer.status, told.detail ?? String(answer.status));
    return told;
  }
}

/** crypto.randomUUID is for secure pages only. */
function newKey() {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("-");
}

// One WHIP or WHEP session: offer and answer, candidates as they come, ICE restart, goodbye.

/** What the server said no with; `status` is HTTP's. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const RESTART = 4000; // milliseconds that a connection may be away before it is begun anew
const FRAGMENT = "application/trickle-ice-sdpfrag";

/** ICE servers for this stream, [] where the server has none for us. Never fails. Ask only where
 * /v1/public/streams says `turn`: the answer is a round trip before anything plays. */
export async function iceServers(app, stream, token) {
  const query = new URLSearchParams({ app, stream });
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    const answer = await fetch(`/v1/turn?${query}`, { headers });
    if (!answer.ok) return [];
    const { username, password, uris } = await answer.json();
    return [{ urls: uris, username, credential: password }];
  } catch {
    return [];
  }
}

/** The media of an RTCPeerConnection at a WHIP or WHEP endpoint. */
export class Session {
  /** onlost(reason) is called once, when the connection has ended without close(); edit(sdp) may
   * change the server's answer before the browser sees it. */
  constructor(pc, { token = "", onlost = () => {}, edit = (sdp) => sdp } = {}) {
    this.pc = pc;
    this.token = token;
    this.onlost = onlost;
    this.edit = edit;
    this.url = null;
    this.etag = null;
    this.candidates = [];
    this.closed = false;
    this.timer = 0;
    pc.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate?.candidate) this.candidates.push(candidate);
      this.#trickle();
    });
    pc.addEventListener("connectionstatechange", () => this.#follow());
  }

  /** POST the offer. Throws Refused, or what fetch throws. */
  async open(endpoint, signal) {
    const { pc } = this;
    await pc.setLocalDescription();
    const answer = await fetch(endpoint, {
      method: "POST",
      headers: this.#headers({ "Content-Type": "application/sdp" }),
      body: pc.localDescription.sdp,
      signal,
    });
    if (!answer.ok) throw new Refused(answer.status, await reason(answer));
    const sdp = await answer.text();
    this.url = new URL(answer.headers.get("Location"), answer.url).href;
    this.etag = answer.headers.get("ETag");
    if (this.closed) {
      this.#delete();
      return;
    }
    await pc.setRemoteDescription({ type: "answer", sdp: this.edit(sdp) });
    this.#trickle();
  }

  /** Let the server offer what it has, and answer (draft-ietf-wish-whep section 4.3). */
  async receive(endpoint, signal) {
    const { pc } = this;
    const offer = await fetch(endpoint, { method: "POST", headers: this.#headers(), signal });
    if (!offer.ok) throw new Refused(offer.status, await reason(offer));
    const sdp = await offer.text();
    this.url = new URL(offer.headers.get("Location"), offer.url).href;
    if (this.closed) {
      this.#delete();
      return;
    }
    const servers = linkedServers(offer.headers.get("Link") ?? "");
    if (servers.length) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
    await pc.setRemoteDescription({ type: "offer", sdp });
    await pc.setLocalDescription();
    const answer = await fetch(this.url, {
      method: "PATCH",
      headers: this.#headers({ "Content-Type": "application/sdp" }),
      body: pc.localDescription.sdp,
      signal,
    });
    if (!answer.ok) throw new Refused(answer.status, await reason(answer));
    this.etag = offer.headers.get("ETag"); // from here on candidates may follow
    this.#trickle();
  }

  /** End it here and at the server, also while the page is being left. */
  close() {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timer);
    this.pc.close();
    this.#delete();
  }

  #delete() {
    if (!this.url) return;
    fetch(this.url, { method: "DELETE", headers: this.#headers(), keepalive: true }).catch(() => {});
    this.url = null;
  }

  #headers(more = {}) {
    return this.token ? { ...more, Authorization: `Bearer ${this.token}` } : more;
  }

  #follow() {
    const state = this.pc.connectionState;
    clearTimeout(this.timer);
    if (this.closed) return;
    if (state === "failed" || state === "closed") this.#lose("ICE");
    // another network, or none: new candidates may find a way before the old ones have failed
    if (state === "disconnected") this.timer = setTimeout(() => this.#restart(), RESTART / 4);
  }

  #lose(why) {
    if (this.closed) return;
    this.close();
    this.onlost(why);
  }

  /** Tell the server the candidates found since the last time (RFC 9725 section 4.3.1). */
  async #trickle() {
    if (!this.url || !this.etag || !this.candidates.length) return;
    const found = this.candidates.splice(0);
    const { ufrag, pwd, mid } = credentials(this.pc.localDescription.sdp);
    const lines = [
      `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, "m=audio 9 UDP/TLS/RTP/SAVPF 0", `a=mid:${mid}`,
      ...found.map((candidate) => `a=${candidate.candidate}`),
    ];
    await this.#patch(lines, this.etag).catch(() => {}); // who is lite waits to be found anyway
  }

  /** Begin a new ICE generation (RFC 9725 section 4.3.3). */
  async #restart() {
    const { pc } = this;
    if (this.closed || pc.connectionState === "connected" || !this.url) return;
    this.timer = setTimeout(() => {
      if (pc.connectionState !== "connected") this.#lose("ICE");
    }, RESTART);
    try {
      const before = pc.remoteDescription.sdp;
      pc.restartIce();
      await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
      const { ufrag, pwd, mid } = credentials(pc.localDescription.sdp);
      const lines = [
        `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, "m=audio 9 UDP/TLS/RTP/SAVPF 0", `a=mid:${mid}`,
      ];
      const answer = await this.#patch(lines, "*");
      if (!answer.ok) throw new Refused(answer.status, await reason(answer));
      this.etag = answer.headers.get("ETag") ?? this.etag;
      const theirs = credentials(await answer.text());
      const sdp = before
        .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${theirs.ufrag}`)
        .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${theirs.pwd}`)
        .replace(/^a=setup:actpass\r?$/gm, "a=setup:passive"); // it was the server's offer
      await pc.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      // 404: the server gave us up. No network: the timer decides.
      if (error instanceof Refused) this.#lose(error.message);
    }
  }

  #patch(lines, match) {
    return fetch(this.url, {
      method: "PATCH",
      headers: this.#headers({ "Content-Type": FRAGMENT, "If-Match": match }),
      body: `${lines.join("\r\n")}\r\n`,
    });
  }
}

function credentials(sdp) {
  const value = (name) => sdp.match(new RegExp(`^a=${name}:(\\S+)`, "m"))?.[1] ?? "";
  return { ufrag: value("ice-ufrag"), pwd: value("ice-pwd"), mid: value("mid") };
}

/** ICE servers of a Link header (RFC 9725 section 4.6). */
function linkedServers(header) {
  const found = [];
  for (const [, urls, more] of header.matchAll(/<([^>]*)>((?:\s*;\s*[\w-]+=(?:"[^"]*"|[\w-]+))*)/g)) {
    const fields = [...more.matchAll(/([\w-]+)=(?:"([^"]*)"|([\w-]+))/g)];
    const about = Object.fromEntries(fields.map(([, name, quoted, word]) => [name, quoted ?? word]));
    if (about.rel !== "ice-server") continue;
    found.push({ urls, username: about.username, credential: about.credential });
  }
  return found;
}

async function reason(answer) {
  try {
    const { detail, title } = await answer.json();
    return detail || title || String(answer.status);
  } catch {
    return String(answer.status);
  }
}

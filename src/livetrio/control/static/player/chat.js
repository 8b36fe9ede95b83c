// The room of a stream: one connection for the page, one subscription for the stream shown.

/* global Centrifuge */

import { t } from "/assets/shared/i18n.js";
import { becomeGuest, describe, forgetToken, keptToken } from "/assets/shared/identity.js";
import { ChatPanel } from "/assets/player/chat_panel.js";
import { Danmaku } from "/assets/player/danmaku.js";

const BACKLOG = 50; // messages a newcomer is shown
const MUTED_FOR = 600; // seconds
const REFUSED = 3500; // Centrifugo's code for a token that is not valid

export class Chat {
  /** root: where the panel goes; screen: what danmaku fly over; onevent(data) hears what the
   * server publishes, and nobody else, onjoined({recovered}) that everything from now on will be
   * heard. */
  constructor(root, screen, { onevent = () => {}, onjoined = () => {} } = {}) {
    this.token = keptToken();
    this.onevent = onevent;
    this.onjoined = onjoined;
    this.danmaku = new Danmaku(screen);
    this.panel = new ChatPanel(root, {
      say: (text) => this.#say(text),
      mute: (who) => this.#mute(who),
      unmute: (whom) => this.#rpc("room.unmute", whom),
      danmaku: (on) => this.danmaku.turn(on),
    });
    this.client = null;
    this.subscription = null;
    this.room = "";
    this.me = { client: "", user: "" };
    this.position = null; // {epoch, offset} of the newest message that was heard
    this.held = null; // what comes while the past is being fetched
  }

  /** Into the room of a stream, out of the one before. bound: where IM listens, if it does;
   * guests: may we be somebody without a token of the site? */
  enter(stream, bound, guests = false) {
    const room = stream ? `room:${stream.app}/${stream.name}` : "";
    const possible = room && bound && (bound.tls || location.protocol !== "https:");
    this.panel.root.hidden = !possible;
    if (!possible || room === this.room) return;
    this.#leave();
    this.room = room;
    this.client ??= this.#connect(bound, guests);
    this.#join();
  }

  /** Out of the room, for good. */
  close() {
    this.client?.disconnect();
  }

  /** Who is in the room: [{user, name}], each user once. */
  async present() {
    const { clients } = await this.subscription.presence();
    const known = new Map();
    for (const info of Object.values(clients)) {
      if (info.user) known.set(info.user, { user: info.user, name: nameOf(info) });
    }
    return [...known.values()];
  }

  #leave() {
    if (this.subscription) this.client.removeSubscription(this.subscription);
    this.subscription = null;
    this.position = this.held = null;
    this.panel.clear();
    this.danmaku.clear();
  }

  #connect({ port, tls }, guests) {
    const url = `${tls ? "wss" : "ws"}://${location.hostname}:${port}/connection/websocket`;
    const client = new Centrifuge(url, {
      token: this.token, name: "livetrio player", minReconnectDelay: 300, maxReconnectDelay: 5000,
      ...(guests && { getToken: () => becomeGuest() }),
    });
    client.on("connected", (context) => {
      this.me.client = context.client;
    });
    client.on("connecting", () => this.panel.state("connecting"));
    client.on("disconnected", ({ code }) => {
      // A guest of a server that has another secret by now becomes another guest, once.
      if (guests && code === REFUSED && describe(this.token).guest) {
        forgetToken();
        this.token = "";
        client.setToken("");
        client.connect();
      } else this.panel.state(code === REFUSED ? "token" : "closed");
    });
    client.connect();
    return client;
  }

  #join() {
    const subscription = this.client.newSubscription(this.room, { recoverable: true });
    subscription.on("publication", (publication) => {
      if (!publication.info) this.onevent(publication.data); // info: who said it; the server is nobody
      this.#hear(publication);
    });
    subscription.on("subscribing", () => this.panel.state("connecting"));
    subscription.on("subscribed", (context) => this.#joined(subscription, context));
    subscription.on("unsubscribed", ({ code, reason }) => {
      if (code >= 2000) this.panel.state("out", reason);
    });
    subscription.on("error", ({ error }) => this.panel.trouble(error.message));
    this.subscription = subscription;
    subscription.subscribe();
  }

  async #joined(subscription, { recovered, wasRecovering, streamPosition }) {
    this.onjoined({ recovered: Boolean(wasRecovering && recovered) });
    try {
      if (!(wasRecovering && recovered)) await this.#catchUp(subscription, streamPosition);
      const { user, moderator } = await this.#rpc("room.me", {});
      if (subscription !== this.subscription) return;
      this.me.user = user;
      this.panel.joined({ moderator });
    } catch (error) {
      if (subscription === this.subscription) this.panel.trouble(error.message);
    }
  }

  /** What was said before; and how much of what was missed is gone for good. */
  async #catchUp(subscription, now) {
    const before = this.position;
    this.position = now ? { epoch: now.epoch, offset: now.offset } : null;
    this.held = [];
    let past = [];
    try {
      past = (await subscription.history({ limit: BACKLOG, reverse: true })).publications;
    } finally {
      if (subscription === this.subscription) this.#resume(before, now, past.reverse());
    }
  }

  #resume(before, now, past) {
    const same = before && now && before.epoch === now.epoch;
    const missed = past.filter(({ offset }) =>
      !now || (offset <= now.offset && (!same || offset > before.offset)));
    if (same) this.panel.lost(now.offset - before.offset - missed.length);
    else if (before) this.panel.lost(-1);
    for (const publication of missed) this.#show(publication, { fly: false });
    const held = this.held ?? [];
    this.held = null;
    for (const publication of held) this.#hear(publication);
  }

  #hear(publication) {
    if (this.held) {
      this.held.push(publication);
      return;
    }
    if (publication.tags?.lost) {
      this.panel.lost(Number(publication.tags.lost));
      return;
    }
    if (publication.offset && this.position) this.position.offset = publication.offset;
    this.#show(publication, { fly: true });
  }

  #isMe(info) {
    return Boolean(info) &&
      (info.user ? info.user === this.me.user : info.client === this.me.client);
  }

  #show({ data, info }, { fly }) {
    const said = typeof data === "string" ? { type: "chat", text: data } : data ?? {};
    const who = {
      user: info?.user ?? "", client: info?.client ?? "", name: nameOf(info),
      self: this.#isMe(info),
    };
    if (info && `${said.type}`.startsWith("stream.")) return; // the server has no name
    switch (said.type) {
      case "stream.viewers":
        this.panel.online(said.online);
        break;
      case "stream.online":
      case "stream.offline":
        this.panel.notice(t(`chat.${said.type}`));
        break;
      case "like":
        this.panel.likes(said.total);
        break;
      default:
        if (typeof said.text !== "string") return;
        this.panel.message(who, said.text);
        if (fly) this.danmaku.fly(said.text, { mine: who.self });
    }
  }

  async #say(text) {
    await this.subscription.publish({ type: "chat", text });
  }

  async #mute({ user, client }) {
    return this.#rpc("room.mute", { ...(user ? { user } : { client }), seconds: MUTED_FOR });
  }

  async #rpc(method, asked) {
    const { data } = await this.client.rpc(method, { room: this.room, ...asked });
    return data;
  }
}

/** What others call somebody: the name the site has given, the user, or a number. */
function nameOf(info) {
  if (!info) return "";
  if (info.connInfo?.name) return info.connInfo.name;
  if (info.user && !info.user.startsWith("guest-")) return info.user;
  const id = (info.user || `guest-${info.client}`).slice(6, 10);
  return t("chat.guest", { id });
}

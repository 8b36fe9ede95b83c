// The room of a stream: one connection for the page, one subscription for the stream shown.

/* global Centrifuge */

import { t } from "/assets/shared/i18n.js";
import { ChatPanel } from "/assets/player/chat_panel.js";
import { Danmaku } from "/assets/player/danmaku.js";

const BACKLOG = 50; // messages a newcomer is shown
const MUTED_FOR = 600; // seconds
const TOKEN = "livetrio.im-token";

/** Who the page speaks as: the token of its address (#token=...), kept until the tab closes. */
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN) ?? "";
}

export class Chat {
  /** root: where the panel goes; screen: what danmaku fly over. */
  constructor(root, screen) {
    this.token = takeToken();
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

  /** Into the room of a stream, out of the one before. bound: where IM listens, if it does. */
  enter(stream, bound) {
    const room = stream ? `room:${stream.app}/${stream.name}` : "";
    const possible = room && bound && (bound.tls || location.protocol !== "https:");
    this.panel.root.hidden = !possible;
    if (!possible || room === this.room) return;
    this.#leave();
    this.room = room;
    this.client ??= this.#connect(bound);
    this.#join();
  }

  #leave() {
    if (this.subscription) this.client.removeSubscription(this.subscription);
    this.subscription = null;
    this.position = this.held = null;
    this.panel.clear();
    this.danmaku.clear();
  }

  #connect({ port, tls }) {
    const url = `${tls ? "wss" : "ws"}://${location.hostname}:${port}/connection/websocket`;
    const client = new Centrifuge(url, {
      token: this.token, name: "livetrio player", minReconnectDelay: 300, maxReconnectDelay: 5000,
    });
    client.on("connected", (context) => {
      this.me.client = context.client;
    });
    client.on("connecting", () => this.panel.state("connecting"));
    client.on("disconnected", ({ code }) => this.panel.state(code === 3500 ? "token" : "closed"));
    client.connect();
    return client;
  }

  #join() {
    const subscription = this.client.newSubscription(this.room, { recoverable: true });
    subscription.on("publication", (publication) => this.#hear(publication));
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
  return info.connInfo?.name || info.user || t("chat.guest", { id: info.client.slice(0, 4) });
}

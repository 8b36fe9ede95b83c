// The chat beside the picture: what was said, what is to be known, and the line to write in.

import { el } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

const KEPT = 200; // lines
const NEAR = 60; // pixels from the end within which new lines are followed

export class ChatPanel {
  /** acts: say(text), mute(who), unmute(whom), danmaku(on); the first three give promises. */
  constructor(root, acts) {
    this.root = root;
    this.acts = acts;
    this.moderator = false;
    this.count = el("span", { class: "quiet small" });
    this.hearts = el("span", { class: "quiet small" });
    this.lines = el("div", { class: "lines", role: "log", tabIndex: 0, "aria-label": t("chat") });
    this.status = el("p", { class: "small quiet status", role: "status" });
    this.input = el("input", {
      maxLength: 200, autocomplete: "off", disabled: true, "aria-label": t("chat.write"),
      placeholder: t("chat.write"),
    });
    this.send = el("button", { class: "primary", disabled: true }, t("chat.send"));
    const form = el("form", { class: "write", onsubmit: (event) => this.#submit(event) },
      this.input, this.send);
    root.replaceChildren(
      el("div", { class: "row" },
        el("h2", {}, t("chat")), this.count, this.hearts, this.#switch()),
      this.lines, this.status, form,
    );
  }

  clear() {
    this.lines.replaceChildren();
    this.moderator = false;
    this.count.textContent = this.hearts.textContent = this.status.textContent = "";
  }

  /** "connecting", "token", "out", "closed": nothing can be said now. */
  state(name, reason = "") {
    this.input.disabled = this.send.disabled = true;
    this.status.textContent = t(`chat.${name}`, { reason });
  }

  joined({ moderator }) {
    this.moderator = moderator;
    this.root.classList.toggle("moderator", moderator);
    this.input.disabled = this.send.disabled = false;
    this.status.textContent = "";
  }

  trouble(message) {
    this.status.textContent = message;
  }

  online(count) {
    this.count.textContent = t("chat.online", { count });
  }

  likes(total) {
    this.hearts.textContent = `♥ ${total}`;
  }

  notice(text) {
    this.#add(el("p", { class: "told small quiet" }, text));
  }

  /** count: of messages nobody will see again here; below 0: unknown. */
  lost(count) {
    if (count) this.notice(count > 0 ? t("chat.lost", { count }) : t("chat.gap"));
  }

  message(who, text) {
    const line = el("p", { class: who.self ? "line self" : "line" },
      el("span", { class: "who" }, who.name || t("chat.server")), " ", text);
    if (who.client && !who.self) line.append(this.#muteButton(who));
    this.#add(line);
  }

  #muteButton(who) {
    let whom = null;
    const button = el("button", {
      class: "tiny mute", type: "button", "aria-label": t("chat.mute", { name: who.name }),
      onclick: () => this.#try(async () => {
        if (whom) await this.acts.unmute(whom);
        whom = whom ? null : await this.acts.mute(who);
        button.textContent = t(whom ? "chat.unmute-short" : "chat.mute-short");
        this.status.textContent = t(whom ? "chat.muted" : "chat.unmuted", { name: who.name });
      }),
    }, t("chat.mute-short"));
    return button;
  }

  #switch() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    let on = !still && localStorage.getItem("livetrio.danmaku") !== "off";
    const button = el("button", {
      class: "tiny push", type: "button", "aria-pressed": String(on),
      onclick: () => {
        on = !on;
        localStorage.setItem("livetrio.danmaku", on ? "on" : "off");
        button.setAttribute("aria-pressed", String(on));
        this.acts.danmaku(on);
      },
    }, t("chat.danmaku"));
    this.acts.danmaku(on);
    return button;
  }

  async #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    if (!text) return;
    await this.#try(async () => {
      await this.acts.say(text);
      this.input.value = "";
      this.status.textContent = "";
    });
  }

  async #try(act) {
    try {
      await act();
    } catch (error) {
      this.status.textContent = t("chat.refused", { reason: error.message ?? String(error) });
    }
  }

  #add(line) {
    const { lines } = this;
    const follow = lines.scrollHeight - lines.scrollTop - lines.clientHeight < NEAR;
    lines.append(line);
    while (lines.childElementCount > KEPT) lines.firstElementChild.remove();
    if (follow) lines.scrollTop = lines.scrollHeight;
  }
}

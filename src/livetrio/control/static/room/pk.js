// The PK: asking another room, being asked, and the bar of both scores with its timer.

import { el, span } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";
import { button, refresh } from "/assets/room/menu.js";

const TICK = 500; // milliseconds
const SECONDS = [60, 180, 300, 600];

export class Battle {
  /** root: of the bar; acts: ask(other, seconds), end(), decline(other). */
  constructor(root, acts) {
    this.root = root;
    this.acts = acts;
    this.ends = 0;
    this.clock = el("time", { class: "clock", role: "timer" });
    this.timer = setInterval(() => this.#tick(), TICK);
  }

  close() {
    clearInterval(this.timer);
    refresh(this.root, null, () => []);
  }

  /** rights: those of the page's visitor. */
  render(state, rights) {
    const { pk } = state;
    const asks = rights.owner && pk?.phase !== "running" ? Object.entries(state.asks ?? {}) : [];
    this.root.hidden = !pk && !asks.length;
    this.ends = pk?.phase === "running" ? pk.ends : 0;
    refresh(this.root, [pk, asks, rights.owner], () => [
      pk ? (pk.phase === "running" ? this.#bar(state, rights) : this.#asked(pk, rights)) : null,
      ...asks.map(([other, ask]) => this.#ask(other, ask)),
    ]);
    this.#tick();
  }

  #bar(state, rights) {
    const { pk } = state;
    const own = `${state.app}/${state.name}`;
    const [ours, theirs] = [pk.scores[own] ?? 0, pk.scores[pk.with] ?? 0];
    const share = ours + theirs ? (100 * ours) / (ours + theirs) : 50;
    const bar = el(
      "div", { class: "scores", role: "img", "aria-label": `${ours} : ${theirs}` },
      el("span", { class: "ours" }, ours), el("span", { class: "theirs" }, theirs),
    );
    // never so narrow that the number is not to be read
    bar.style.gridTemplateColumns = `${Math.min(88, Math.max(12, share))}fr ${Math.min(88, Math.max(12, 100 - share))}fr`;
    return el(
      "div", { class: "battle" },
      el("div", { class: "row" },
        el("strong", {}, state.owner?.name ?? own), el("span", { class: "badge live" }, "PK"),
        this.clock, el("strong", { class: "push" }, pk.host?.name ?? pk.with),
        rights.owner
          ? button({ id: "pk end", text: t("room.pk-give-up"), danger: true, run: () => this.acts.end() })
          : null),
      bar,
    );
  }

  #asked(pk, rights) {
    return el(
      "div", { class: "row" }, el("span", {}, t("room.pk-asked", { room: pk.with })),
      rights.owner
        ? button({ id: "pk back", text: t("room.pk-take-back"), run: () => this.acts.end() })
        : null,
    );
  }

  #ask(other, { seconds, host }) {
    const name = host?.name ? `${host.name} (${other})` : other;
    return el(
      "div", { class: "row" }, el("span", {}, t("room.pk-ask", { name, time: span(seconds) })),
      button({
        id: `pk agree ${other}`, text: t("room.accept"), primary: true,
        run: () => this.acts.ask(other, seconds),
      }),
      button({ id: `pk decline ${other}`, text: t("room.decline"), run: () => this.acts.decline(other) }),
    );
  }

  #tick() {
    this.clock.textContent = this.ends ? span((this.ends - Date.now()) / 1000) : "";
  }
}

/** Ask for the other room and the length; resolves to {other, seconds}, or null. */
export function askForBattle() {
  return new Promise((resolve) => {
    const other = el("input", { required: true, maxLength: 129, autocomplete: "off", spellcheck: false });
    const seconds = el("select", {}, SECONDS.map((one) =>
      el("option", { value: one, selected: one === 300 }, span(one))));
    const dialog = el(
      "dialog", { onclose: () => { dialog.remove(); resolve(null); } },
      el("form", {
        method: "dialog",
        onsubmit: () => resolve({ other: other.value.trim(), seconds: Number(seconds.value) }),
      },
      el("h2", {}, t("room.pk-title")),
      el("label", {}, t("room.pk-with"), other), el("label", {}, t("room.pk-time"), seconds),
      el("div", { class: "row" },
        el("button", { type: "button", class: "push", onclick: () => dialog.close() }, t("cancel")),
        el("button", { type: "submit", class: "primary" }, t("room.pk-start")))),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

// Who waits for a seat: staff admit or reject, everybody else sees how many there are.

import { el } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";
import { button, refresh } from "/assets/room/menu.js";

const SHOWN = 50; // of the first in the queue; it may have ten thousand

export class Applicants {
  /** run(act): {path, body} */
  constructor(root, run) {
    this.root = root;
    this.run = run;
  }

  render(state, { staff }) {
    // ten thousand are not sorted again whenever somebody speaks
    if (this.known === state.applications && this.staff === staff) return;
    [this.known, this.staff] = [state.applications, staff];
    const waiting = Object.entries(state.applications ?? {})
      .sort(([, one], [, other]) => one.ticket - other.ticket);
    this.root.hidden = !waiting.length;
    const first = staff
      ? waiting.slice(0, SHOWN).map(([user, { name, seat }]) => ({ user, name: name || user, seat }))
      : [];
    refresh(this.root, [waiting.length, first], () => [
      el("h2", {}, t("room.applicants", { count: waiting.length })),
      first.length ? el("ul", { class: "people" }, first.map((one) => this.#row(one))) : null,
    ]);
  }

  clear() {
    this.known = this.staff = undefined;
    this.root.hidden = true;
  }

  #row({ user, name, seat }) {
    const act = (id, text, primary) => button({
      id: `${id} ${user}`, text, primary,
      run: () => this.run({ path: `applications/${id}`, body: { user } }),
    });
    return el(
      "li", {},
      el("span", { class: "name" }, name),
      seat ? el("span", { class: "small quiet" }, t("room.seat", { seat })) : null,
      el("span", { class: "push row" },
        act("admit", t("room.admit"), true), act("reject", t("room.reject"), false)),
    );
  }
}

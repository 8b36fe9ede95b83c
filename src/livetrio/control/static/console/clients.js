// Clients: who publishes and who watches, each with a way to end it.

import { api, remove } from "/assets/console/api.js";
import { bytes, el, kbits, show, since } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

const PER_PAGE = 100;
const HEADS = ["stream", "role", "protocol", "address", "agent", "rate", "bytes", "jumps", "since"];
const NUMBERS = new Set(["rate", "bytes", "jumps", "since"]);

export function clientsPage(frame, state) {
  let page = 1;

  async function kick(client) {
    try {
      await remove(`/v1/clients/${encodeURIComponent(client.id)}`);
    } catch (error) {
      state.notify(error.message, "error");
    }
    state.refresh();
  }

  function row(client) {
    const cells = {
      stream: `${client.app}/${client.name}`,
      role: t(`role.${client.role}`),
      protocol: client.protocol,
      address: client.address || "–",
      agent: client.agent || "–",
      rate: kbits(client.kbits),
      bytes: bytes(client.role === "publisher" ? client.bytes_in : client.bytes_out),
      jumps: String(client.jumps),
      since: since(client.since),
    };
    return el(
      "tr", {},
      HEADS.map((name) => el("td", { class: NUMBERS.has(name) ? "number" : null }, cells[name])),
      el("td", { class: "number" }, el("button", {
        class: "tiny danger", data: { key: client.id }, onclick: () => kick(client),
      }, t("clients.kick"))),
    );
  }

  return async () => {
    const told = await api(`/v1/clients?per_page=${PER_PAGE}&page=${page}`);
    if (!told.total) {
      show(frame, el("p", { class: "card empty" }, t("clients.none")));
      return;
    }
    const turn = (by) => () => { page += by; state.refresh(); };
    const last = Math.ceil(told.total / PER_PAGE);
    if (page > last) page = last;
    const heads = HEADS.map((name) =>
      el("th", { class: NUMBERS.has(name) ? "number" : null, scope: "col" }, t(`clients.${name}`)));
    show(frame, el(
      "div", { class: "card scroll" },
      el(
        "table", {}, el("thead", {}, el("tr", {}, heads, el("th", {}))),
        el("tbody", {}, told.items.map(row)),
      ),
      last > 1 ? el(
        "div", { class: "row" },
        el("span", { class: "quiet" }, t("clients.more", { shown: told.items.length, total: told.total })),
        el("button", { class: "tiny push", disabled: page === 1, data: { key: "back" }, onclick: turn(-1) }, "‹"),
        el("button", { class: "tiny", disabled: page === last, data: { key: "on" }, onclick: turn(1) }, "›"),
      ) : null,
    ));
  };
}

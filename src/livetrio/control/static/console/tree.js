// The nursery tree as it lives; cancel a stream and see everything below it go.

import { api } from "/assets/console/api.js";
import { endStream } from "/assets/console/streams.js";
import { el, show, span } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

const COUNTS = ["tasks", "sockets", "files"];
const MANY = 60; // children shown of one scope: a thousand viewers need no thousand lines

/** Sums over a scope and all below it. */
function total(info) {
  const sums = Object.fromEntries(COUNTS.map((name) => [name, info[name]]));
  for (const child of info.children) {
    const below = total(child);
    for (const name of COUNTS) sums[name] += below[name];
  }
  return sums;
}

function counts(numbers) {
  return COUNTS.filter((name) => numbers[name] || name === "tasks").map((name) =>
    el("span", { class: "count" }, el("b", {}, String(numbers[name])), ` ${t(`tree.${name}`)}`));
}

export function treePage(frame, state) {
  const going = el("div", { class: "card notice", hidden: true, role: "status" });
  const body = el("div", { class: "card" });

  async function cancel(stream) {
    const name = `${stream.app}/${stream.name}`;
    const ended = await endStream(stream, state);
    if (!ended) return;
    going.hidden = false;
    show(going, el("h3", {}, name), el(
      "div", { class: "going" },
      COUNTS.map((one) => el("span", {}, el("b", {}, `${ended[one]} → 0`), ` ${t(`tree.${one}`)}`)),
      el("span", {}, el("b", {}, String(ended.milliseconds)), " ms"),
    ));
  }

  function node(info) {
    const stream = info.kind === "stream"
      && state.streams.find((one) => `${one.app}/${one.name}` === info.name);
    const sums = total(info);
    const children = info.children.slice(0, MANY);
    return el(
      "li", {},
      el(
        "div", { class: "node" },
        el("span", { class: `badge ${stream ? "live" : ""}` }, info.kind),
        el("span", { class: "name" }, info.name), counts(sums),
        el("span", { class: "count push" }, span(info.age)),
        stream ? el("button", {
          class: "tiny danger", data: { key: info.id }, onclick: () => cancel(stream),
        }, t("tree.cancel")) : null,
      ),
      children.length ? el(
        "ul", {}, children.map(node),
        info.children.length > MANY ? el("li", { class: "quiet" }, `… ${t("clients.more", { shown: MANY, total: info.children.length })}`) : null,
      ) : null,
    );
  }

  show(frame, el("p", { class: "quiet" }, t("tree.text")), going, body);

  return async () => {
    const root = await api("/v1/tree");
    show(body, el("ul", { class: "tree" }, node(root)));
  };
}

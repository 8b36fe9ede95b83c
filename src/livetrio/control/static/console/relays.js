// Relays: what is pulled from and pushed to other servers.

import { api, post, remove } from "/assets/console/api.js";
import { bytes, el, show } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

const HEADS = ["name", "kind", "url", "state", "attempts"];

export function relaysPage(frame, state) {
  const list = el("div", { class: "card scroll" });

  async function stop(relay) {
    try {
      await remove(`/v1/relays/${encodeURIComponent(relay.id)}`);
    } catch (error) {
      state.notify(error.message, "error");
    }
    state.refresh();
  }

  function row(relay) {
    return el(
      "tr", {},
      el("td", {}, `${relay.app}/${relay.name}`),
      el("td", {}, t(`relays.${relay.kind}`)),
      el("td", {}, el("code", {}, relay.url)),
      el(
        "td", {},
        el("span", { class: `badge ${relay.state}` }, t(`relay.${relay.state}`)), " ",
        el("span", { class: "small quiet" }, relay.last_error || bytes(relay.bytes)),
      ),
      el("td", { class: "number" }, String(relay.attempts)),
      el("td", { class: "number" }, el("button", {
        class: "tiny danger", data: { key: relay.id }, onclick: () => stop(relay),
      }, t("stop"))),
    );
  }

  const kind = el(
    "select", {},
    el("option", { value: "pull" }, t("relays.pull")), el("option", { value: "push" }, t("relays.push")),
  );
  const app = el("select", {}, state.node.apps.map((one) => el("option", { value: one.name }, one.name)));
  const name = el("input", { required: true, spellcheck: false, placeholder: "movie" });
  const url = el("input", {
    required: true, spellcheck: false, placeholder: "rtmp://…", size: 36, inputMode: "url",
  });

  async function start(event) {
    event.preventDefault();
    try {
      await post("/v1/relays", { kind: kind.value, app: app.value, name: name.value, url: url.value });
      url.value = "";
    } catch (error) {
      state.notify(error.message, "error");
    }
    state.refresh();
  }

  show(
    frame,
    el(
      "form", { class: "card row", onsubmit: start },
      el("label", {}, t("publish.app"), app), el("label", {}, t("relays.name"), name),
      el("label", {}, t("relays.kind"), kind), el("label", {}, t("relays.url"), url),
      el("button", { class: "primary" }, t("relays.start")),
    ),
    list,
  );

  return async () => {
    const { items } = await api("/v1/relays?per_page=500");
    const heads = HEADS.map((head) =>
      el("th", { scope: "col", class: head === "attempts" ? "number" : null }, t(`relays.${head}`)));
    show(list, items.length
      ? el("table", {}, el("thead", {}, el("tr", {}, heads, el("th", {}))), el("tbody", {}, items.map(row)))
      : el("p", { class: "empty" }, t("relays.none")));
  };
}

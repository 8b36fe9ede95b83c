// Publish: OBS's Server and Key, ready to copy.

import { livego } from "/assets/console/api.js";
import { ask, copyText, el, path, show } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

function server(node, app) {
  const bound = node.ports.rtmp ?? node.ports.rtmps;
  if (!bound) return null;
  const port = !bound.tls && bound.port === 1935 ? "" : `:${bound.port}`;
  return `${bound.tls ? "rtmps" : "rtmp"}://${location.hostname}${port}/${encodeURIComponent(app)}`;
}

function copyRow(name, value, { secret = false } = {}) {
  const shown = el("span", { class: "value" });
  let hidden = secret;
  const reveal = el("button", {
    class: "tiny", type: "button", hidden: !secret,
    onclick: () => { hidden = !hidden; fill(); },
  });
  function fill() {
    shown.textContent = hidden ? "•".repeat(24) : value;
    reveal.textContent = t(hidden ? "publish.show" : "publish.hide");
  }
  fill();
  const copy = el("button", {
    class: "tiny primary", type: "button",
    onclick: async () => {
      await copyText(value);
      copy.textContent = t("copied");
      setTimeout(() => { copy.textContent = t("copy"); }, 2000);
    },
  }, t("copy"));
  return el(
    "div", { class: "copy" }, el("span", { class: "name quiet small" }, name), shown,
    el("span", { class: "row" }, reveal, copy),
  );
}

export function publishPage(frame, state) {
  const { node, notify } = state;
  const apps = el("select", {}, node.apps.map((app) => el("option", { value: app.name }, app.name)));
  const room = el("input", { required: true, maxLength: 200, value: "movie", spellcheck: false });
  const result = el("div", { class: "stack" });

  async function attempt(endpoint) {
    const app = node.apps.find((one) => one.name === apps.value);
    try {
      const plain = app.auth === "none";
      const key = plain ? room.value : await livego(`/control/${endpoint}`, { room: room.value });
      showKey(app.name, room.value, key, plain);
    } catch (error) {
      notify(error.message, "error");
    }
  }

  function showKey(app, name, key, plain) {
    const address = server(node, app);
    show(
      result,
      address ? copyRow(t("publish.server"), address) : el("p", {}, t("publish.off")),
      copyRow(t("publish.key"), key, { secret: !plain }),
      address ? copyRow(t("publish.watch"), `${server(node, app)}/${path("", name).slice(1)}`) : null,
      plain
        ? el("p", { class: "quiet small" }, t("publish.plain"))
        : el(
          "div", { class: "row" },
          el("button", { type: "button", onclick: () => reset(name) }, t("publish.reset")),
          el("button", { type: "button", class: "danger", onclick: () => forget(name) }, t("publish.delete")),
        ),
    );
  }

  async function sure(title, name) {
    return ask({ title, text: t("publish.reset.text", { room: name }), ok: title, cancel: t("cancel") });
  }

  async function reset(name) {
    if (await sure(t("publish.reset"), name)) await attempt("reset");
  }

  async function forget(name) {
    if (!(await sure(t("publish.delete"), name))) return;
    try {
      await livego("/control/delete", { room: name });
      show(result);
    } catch (error) {
      notify(error.message, "error");
    }
  }

  const form = el(
    "form",
    { class: "row", onsubmit: (event) => { event.preventDefault(); attempt("get"); } },
    el("label", {}, t("publish.app"), apps), el("label", {}, t("publish.room"), room),
    el("button", { class: "primary" }, t("publish.get")),
  );
  show(frame, el(
    "div", { class: "card stack" },
    el("div", {}, el("h2", {}, t("publish.title")), el("p", { class: "quiet" }, t("publish.text"))),
    form, result,
  ));
  return () => {};
}

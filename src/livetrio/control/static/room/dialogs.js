// Dialogs of the room: an invitation for others, and whom to invite to a seat.

import { copyText, el } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

/** A modal dialog with these children and a button to close it; removed when it is closed. */
export function open(title, children, onclose = () => {}) {
  const dialog = el(
    "dialog", { "aria-label": title, onclose: () => { dialog.remove(); onclose(); } },
    el("div", { class: "stack" }, el("h2", {}, title), children,
      el("div", { class: "row" },
        el("button", { type: "button", class: "push", onclick: () => dialog.close() }, t("room.close")))),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/** The room's address, as text and as a picture for a phone's camera. */
export function share(url) {
  const copy = el("button", {
    type: "button", class: "primary",
    onclick: async () => {
      await copyText(url);
      copy.textContent = t("copied");
    },
  }, t("copy"));
  open(t("room.share"), [
    el("img", { class: "code", src: `/v1/qr.svg?text=${encodeURIComponent(url)}`, alt: t("room.code") }),
    el("p", { class: "link mono" }, url), copy,
  ]);
}

/** What a program such as OBS is told to publish from one's seat, and to hear the others. */
export function program({ server, key, mix_minus: others }) {
  const rows = [
    [t("publish.server"), server], [t("publish.key"), key],
    [t("room.others"), `${server.slice(0, server.lastIndexOf("/"))}${others}`],
  ];
  open(t("room.program"), [
    el("p", { class: "quiet" }, t("room.program-text")),
    ...rows.map(([name, value]) => {
      const copy = el("button", {
        type: "button", class: "tiny",
        onclick: async () => {
          await copyText(value);
          copy.textContent = t("copied");
        },
      }, t("copy"));
      return el("div", { class: "copy" }, el("span", { class: "name quiet small" }, name),
        el("span", { class: "value" }, value), copy);
    }),
  ]);
}

/** Whom to invite: resolves to a user, or null. people: [{user, name}] who are here. */
export function choosePerson(people) {
  return new Promise((resolve) => {
    const list = people.map(({ user, name }) =>
      el("li", {}, el("button", {
        type: "button", onclick: () => { resolve(user); dialog.close(); },
      }, name)));
    const dialog = open(
      t("room.invite"),
      list.length
        ? el("ul", { class: "people choice" }, list)
        : el("p", { class: "quiet" }, t("room.nobody")),
      () => resolve(null),
    );
  });
}

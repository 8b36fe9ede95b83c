// One seat that somebody sits on: picture or initial, name, and what is off.

import { el } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";
import { icon } from "/assets/room/icons.js";
import { menu, refresh } from "/assets/room/menu.js";

export class Tile {
  constructor() {
    this.video = el("video", { muted: true, autoplay: true, playsInline: true, hidden: true });
    this.video.tabIndex = -1;
    this.avatar = el("div", { class: "avatar", "aria-hidden": "true" });
    this.label = el("div", { class: "label" });
    this.corner = el("div", { class: "corner" });
    this.root = el("article", { class: "sitting" }, this.video, this.avatar, this.label, this.corner);
  }

  /** seat: {number, name, user, microphone, camera, hand, present}; about: {own, owner, manager,
   * speaking, stream (a MediaStream or null), acts (of the menu), run(act), voice}. */
  render(seat, about) {
    const name = seat.name || seat.user || "";
    const { own, speaking, stream } = about;
    const pictured = Boolean(stream) && seat.camera === "on" && !about.voice;
    this.#show(pictured ? stream : null);
    this.video.classList.toggle("mirrored", own);
    this.avatar.hidden = pictured;
    this.avatar.textContent = initial(name);
    this.root.classList.toggle("speaking", speaking);
    this.root.classList.toggle("away", seat.present === false);
    this.root.classList.toggle("own", own);
    this.root.dataset.seat = seat.number;
    this.root.setAttribute("aria-label", spoken(seat, name, about));
    const silent = seat.microphone !== "on";
    const shown = [seat.number, name, own, silent, seat.camera, seat.hand, about.owner, about.manager];
    refresh(this.label, shown, () => [
      el("span", { class: "number" }, seat.number || "PK"),
      about.owner || about.manager ? icon("crown") : null,
      el("span", { class: "name" }, own ? `${name} (${t("room.me")})` : name),
      seat.hand ? icon("hand") : null,
      silent ? icon("microphone-off") : null,
      seat.camera !== "on" && !about.voice ? icon("camera-off") : null,
    ]);
    const { acts, run } = about;
    refresh(this.corner, acts, () => acts.length
      ? [menu(t("room.acts", { name }), acts.map((act) => ({ ...act, run: () => run(act) })))]
      : []);
  }

  /** The tracks of a stream, in the element as long as they are the same. */
  #show(stream) {
    this.video.hidden = !stream;
    const now = this.video.srcObject?.getVideoTracks()[0];
    const next = stream?.getVideoTracks()[0];
    if (now === next) return;
    this.video.srcObject = next ? new MediaStream([next]) : null;
    if (next) this.video.play().catch(() => {}); // muted: only a pause in between stops it
  }
}

const initial = (name) => [...name.trim()][0]?.toUpperCase() ?? "?";

function spoken(seat, name, { owner, manager, speaking, voice }) {
  const words = [
    seat.number ? t("room.seat", { seat: seat.number }) : "PK", name,
    owner ? t("room.owner") : manager ? t("room.manager") : "",
    speaking ? t("room.speaking") : "",
    seat.microphone === "on" ? "" : t("room.silent"),
    seat.camera === "on" || voice ? "" : t("room.dark"),
    seat.hand ? t("room.hand-up") : "",
    seat.present === false ? t("room.away") : "",
  ];
  return words.filter(Boolean).join(", ");
}

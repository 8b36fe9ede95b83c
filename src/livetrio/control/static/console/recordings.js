// Recordings: what there is, to be played, fetched and deleted.

import { api, remove, token } from "/assets/console/api.js";
import { ask, bytes, el, show } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

/* global mpegts */

const PER_PAGE = 50;
const HEADS = ["start", "length", "size", "format"];

/** A link that a browser follows by itself: it cannot send the token as a header. */
const address = (one) => (token() ? `${one.url}?jwt=${encodeURIComponent(token())}` : one.url);

function length(seconds) {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return [h, m, s].map((part) => String(part).padStart(2, "0")).join(":");
}

/** Browsers play MP4; mpegts.js plays the two others. Gives what ends it. */
function play(video, one) {
  if (one.format === "fmp4") {
    video.src = address(one);
    return () => { video.removeAttribute("src"); video.load(); };
  }
  const type = one.format === "ts" ? "mpegts" : "flv";
  const player = mpegts.createPlayer({ type, isLive: false, url: new URL(address(one), location).href });
  player.attachMediaElement(video);
  player.load();
  return () => player.destroy();
}

export function recordingsPage(frame, state) {
  let page = 1;
  let stop = () => {};
  const stage = el("div", { class: "stack" });
  const list = el("div", {});
  show(frame, stage, list);

  function watch(one) {
    stop();
    const video = el("video", { controls: true, autoplay: true, class: "recording" });
    video.onerror = () => state.notify(t("recordings.failed"), "error");
    show(stage, el("div", { class: "card stack" }, el("h3", {}, `${one.app}/${one.name}`), video));
    stop = play(video, one);
  }

  async function drop(one) {
    const words = { title: `${t("recordings.delete")}: ${one.app}/${one.name}`, text: t("recordings.sure") };
    if (!(await ask({ ...words, ok: t("recordings.delete"), cancel: t("cancel") }))) return;
    try {
      await remove(`/v1/recordings/${encodeURIComponent(one.id)}`);
    } catch (error) {
      state.notify(error.message, "error");
    }
    state.refresh();
  }

  function row(one) {
    const cells = {
      start: new Date(one.start * 1000).toLocaleString(),
      length: length(one.duration),
      size: bytes(one.size),
      format: [one.format, ...one.codecs].join(" · "),
    };
    return el(
      "tr", {},
      el("td", {}, `${one.app}/${one.name}`), HEADS.map((name) => el("td", {}, cells[name])),
      el(
        "td", { class: "number" },
        el("button", { class: "tiny primary", onclick: () => watch(one) }, t("recordings.play")), " ",
        el("a", { class: "button tiny", href: address(one), download: "" }, t("recordings.fetch")), " ",
        el("button", { class: "tiny danger", onclick: () => drop(one) }, t("recordings.delete")),
      ),
    );
  }

  return async () => {
    const told = await api(`/v1/recordings?per_page=${PER_PAGE}&page=${page}`);
    if (!told.total) {
      show(list, el("p", { class: "card empty" }, t("recordings.none")));
      return;
    }
    const last = Math.ceil(told.total / PER_PAGE);
    const turn = (by) => () => { page += by; state.refresh(); };
    const heads = HEADS.map((name) => el("th", { scope: "col" }, t(`recordings.${name}`)));
    show(list, el(
      "div", { class: "card scroll" },
      el(
        "table", {}, el("thead", {}, el("tr", {}, el("th", {}), heads, el("th", {}))),
        el("tbody", {}, told.recordings.map(row)),
      ),
      last > 1 ? el(
        "div", { class: "row" },
        el("button", { class: "tiny push", disabled: page === 1, onclick: turn(-1) }, "‹"),
        el("button", { class: "tiny", disabled: page === last, onclick: turn(1) }, "›"),
      ) : null,
    ));
  };
}

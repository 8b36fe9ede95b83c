// Streams: one card each, with what is to be said about it and where it plays.

import { remove } from "/assets/console/api.js";
import { ask, bytes, el, kbits, path, show, since } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

const SIGNS = { ok: "✓", warn: "!", error: "✕" };

export const title = (stream) => `${stream.app}/${stream.name}`;

/** Ask, end the stream, tell what went. */
export async function endStream(stream, state) {
  const name = title(stream);
  const words = { title: t("end.title", { name }), text: t("end.text") };
  if (!(await ask({ ...words, ok: t("end.ok"), cancel: t("cancel") }))) return null;
  try {
    const { ended } = await remove(`/v1/streams/${path(stream.app, stream.name)}`);
    state.notify(t("ended", { name, ms: ended.milliseconds, ...ended }));
    state.refresh();
    return ended;
  } catch (error) {
    state.notify(error.message, "error");
    return null;
  }
}

function track(stream, kind) {
  const found = stream.tracks.filter((one) => one.kind === kind);
  if (!found.length) return "–";
  return found.map((one) => [
    one.codec, one.profile,
    one.width ? `${one.width}×${one.height}` : "",
    one.sample_rate ? `${one.sample_rate / 1000} kHz` : "",
    one.bitrate ? kbits(one.bitrate) : "",
  ].filter(Boolean).join(" · ")).join(", ");
}

function facts(stream) {
  const viewers = Object.entries(stream.viewers).map(([name, count]) => `${count} ${name}`);
  const publisher = stream.publisher;
  const wide = [
    [t("fact.video"), track(stream, "video")],
    [t("fact.audio"), track(stream, "audio")],
    [t("fact.publisher"), publisher
      ? [publisher.protocol, publisher.address, publisher.agent].filter(Boolean).join(" · ") : "–"],
  ];
  const rows = [
    [t("fact.gop"), stream.gop ? `${stream.gop} s` : "–"],
    [t("fact.b"), t(stream.b_frames ? "yes" : "no")],
    [t("fact.jitter"), `${Math.round(stream.jitter * 1000)} ms`],
    [t("fact.viewers"), viewers.join(", ") || "0"],
    [t("fact.received"), bytes(stream.bytes)],
    [t("fact.ring"), bytes(stream.ring.bytes)],
    [t("fact.since"), since(stream.since)],
  ];
  const fact = (class_) => ([name, value]) =>
    el("div", { class: class_ }, el("dt", {}, name), el("dd", {}, value));
  return el("dl", { class: "facts" }, wide.map(fact("wide")), rows.map(fact(null)));
}

function verdict(stream) {
  return el("ul", { class: "findings" }, stream.verdict.map((finding) => el(
    "li", {},
    el("span", { class: `badge ${finding.level}` }, SIGNS[finding.level]),
    el("span", {}, t(`verdict.${finding.text_id}`, finding.values, finding.text)),
  )));
}

function ways(stream) {
  return Object.entries(stream.playable).map(([way, able]) => el(
    "span",
    {
      class: `badge ${able.ok ? (able.why ? "warn" : "ok") : "no"}`,
      title: able.why
        ? t(`why.${able.why_id}`, { codecs: able.codecs.join(", ") }, able.why) : "",
    },
    `${able.ok ? "✓" : "✕"} ${way}`,
  ));
}

function watchLink(stream, state) {
  const { web } = state.node.ports;
  if (!web) return null;
  const scheme = web.tls ? "https" : "http";
  const name = encodeURIComponent(title(stream));
  const href = `${scheme}://${location.hostname}:${web.port}/player?stream=${name}`;
  return el("a", { class: "button", href, target: "_blank", rel: "noreferrer", data: { key: `w ${name}` } }, t("watch"));
}

/** The last key frame, made anew by the server for each group of pictures. */
function picture(stream, state) {
  const port = state.node.ports.httpflv ?? state.node.ports.hls;
  if (!port || !stream.tracks.some((one) => one.kind === "video")) return null;
  const scheme = port.tls ? "https" : "http";
  const turn = Math.floor(Date.now() / 5000); // not with every beat
  const src = `${scheme}://${location.hostname}:${port.port}/${path(stream.app, stream.name)}.jpg?width=240&t=${turn}`;
  return el("img", { class: "snapshot", src, alt: "", width: 240, onerror: (event) => event.target.remove() });
}

function card(stream, state) {
  const live = stream.state === "live";
  return el(
    "article", { class: "card" },
    el(
      "div", { class: "row" },
      el("h3", {}, title(stream)),
      el("span", { class: `badge ${stream.state}` }, t(`state.${stream.state}`)),
      ways(stream),
      el(
        "span", { class: "row push" }, live ? watchLink(stream, state) : null,
        el("button", {
          class: "danger", data: { key: `end ${title(stream)}` },
          onclick: () => endStream(stream, state),
        }, t("stop")),
      ),
    ),
    live ? picture(stream, state) : null, verdict(stream), facts(stream),
  );
}

export function streamsPage(frame, state) {
  return () => {
    const cards = state.streams.map((stream) => card(stream, state));
    show(frame, cards.length ? cards : el("p", { class: "card empty" }, t("streams.none")));
  };
}

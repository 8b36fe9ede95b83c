// Where a stream is, and by which transports this page may fetch it from there.

import { path } from "/assets/shared/dom.js";
import { FlvPlayer } from "/assets/player/flv.js";
import { HlsPlayer } from "/assets/player/hls.js";
import { WhepPlayer } from "/assets/player/whep.js";

const WAYS = {
  webrtc: { label: "WebRTC", player: WhepPlayer },
  http: { label: "HTTP-FLV", player: FlvPlayer },
  ws: { label: "WebSocket-FLV", player: FlvPlayer },
  hls: { label: "HLS", player: HlsPlayer },
};
const AUTO = ["webrtc", "http", "hls"]; // the fastest first

/** URLs of a stream {app, name} by transport, of those that the server {ports, webrtc, turn} has. */
export function addresses(stream, { ports, webrtc }) {
  const at = path(stream.app, stream.name);
  const { httpflv, hls } = ports;
  const rtmp = ports.rtmp ?? ports.rtmps;
  return {
    webrtc: webrtc && new URL(`/${at}/whep`, location).href,
    http: httpflv && `${base("http", httpflv)}/${at}.flv`,
    ws: httpflv && `${base("ws", httpflv)}/${at}.flv`,
    hls: hls && `${base("http", hls)}/${at}.m3u8`,
    rtmp: rtmp && `${base("rtmp", rtmp).replace(/^(rtmp:.*):1935$/, "$1")}/${at}`,
  };
}

const base = (scheme, { port, tls }) => `${scheme}${tls ? "s" : ""}://${location.hostname}:${port}`;

/** What `Fallback.play` takes: the chosen transport alone, or with "auto" all that may work. */
export function ways(stream, server, choice) {
  const urls = addresses(stream, server);
  return (choice === "auto" ? AUTO : [choice])
    .filter((name) => urls[name] && !isMixed(urls[name]))
    .map((name) => {
      const url = name === "hls" ? `${urls.hls}?variant=ll` : urls[name];
      return { ...WAYS[name], source: { ...stream, url, turn: server.turn } };
    });
}

/** Pages that came by HTTPS may load nothing that does not. */
const isMixed = (url) => location.protocol === "https:" && !/^(https|wss):/.test(url);

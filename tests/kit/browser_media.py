"""WebRTC by hand in a Chromium page, and what getStats() says of it: livetrio's own pages aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from kit.chromium import Browser
from livetrio.app import Running

__all__ = ["FAKE_DEVICES", "Watched", "frames_sent", "place", "watch", "whep", "whip"]

FAKE_DEVICES = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
"""Flags: a camera with a moving picture and a clock, a microphone that beeps, nobody asked."""

_COMMON = """
const [url, options] = arguments;
document.body.innerHTML = "<video autoplay playsinline></video>";
const video = document.querySelector("video");
const pc = new RTCPeerConnection(
  {iceServers: options.iceServers, iceTransportPolicy: options.policy, bundlePolicy: "max-bundle"});
window.pc = pc;
window.silences = [];
const gathered = () => pc.iceGatheringState === "complete" ? null : new Promise((done) => {
  pc.addEventListener("icegatheringstatechange",
    () => pc.iceGatheringState === "complete" && done());
});
async function talk() {
  await pc.setLocalDescription();
  if (options.policy === "relay") await gathered();
  const headers = {"Content-Type": "application/sdp"};
  if (options.token) headers.Authorization = `Bearer ${options.token}`;
  const answer = await fetch(url, {method: "POST", headers, body: pc.localDescription.sdp});
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  let sdp = await answer.text();
  window.session = new URL(answer.headers.get("Location"), url).href;
  window.links = answer.headers.get("Link");
  for (const [old, new_] of options.rewrite) sdp = sdp.replaceAll(old, new_);
  if (options.only) {
    sdp = sdp.split("\\r\\n").filter((line) => !line.startsWith("a=candidate:")
      || line.includes(` ${options.only} `)).join("\\r\\n");
  }
  await pc.setRemoteDescription({type: "answer", sdp});
}
"""

_WHEP = (
    _COMMON
    + """
for (const kind of ["video", "audio"]) pc.addTransceiver(kind, {direction: "recvonly"});
const stream = new MediaStream();
pc.ontrack = ({track}) => stream.addTrack(track);
for (const name of ["pause", "stalled", "ended", "error"]) {
  video.addEventListener(name, () => window.silences.push(name));
}
video.srcObject = stream;
await talk();
"""
)

_WHIP = (
    _COMMON
    + """
const {width, height, frameRate} = options;
const stream = await navigator.mediaDevices.getUserMedia(
  {audio: true, video: {width, height, frameRate}});
for (const track of stream.getTracks()) {
  const encodings = track.kind === "video" && options.layers
    ? options.layers.map((rid, i, all) => ({rid, scaleResolutionDownBy: 2 ** (all.length - 1 - i)}))
    : [{}];
  const sender = pc.addTransceiver(
    track, {direction: "sendonly", streams: [stream], sendEncodings: encodings});
  if (track.kind === "video" && options.codec) {
    const {codecs} = RTCRtpSender.getCapabilities("video");
    sender.setCodecPreferences(codecs.filter((one) => one.mimeType === options.codec
      && (!options.profile || one.sdpFmtpLine.includes(options.profile))));
  }
}
video.muted = true;
video.srcObject = stream;
await talk();
"""
)

_STATS = """
const found = {video: {}, audio: {}, pair: {}};
let selected = null;
const all = await window.pc.getStats();
for (const report of all.values()) {
  if (report.type === "inbound-rtp" || report.type === "outbound-rtp") {
    if ((found[report.kind].bytesSent ?? -1) < (report.bytesSent ?? 0)) found[report.kind] = report;
  }
  if (report.type === "transport") selected = all.get(report.selectedCandidatePairId);
}
if (selected) {
  found.pair = {...selected, local: all.get(selected.localCandidateId),
    remote: all.get(selected.remoteCandidateId)};
}
const v = document.querySelector("video");
return {...found, state: window.pc.connectionState, silences: window.silences,
  time: v.currentTime, width: v.videoWidth, height: v.videoHeight};
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """What a page received from one moment on: differences, but for the picture's size."""

    frames: int
    """Decoded pictures."""
    time: float
    """currentTime, seconds."""
    freezes: int
    """Since the page was opened, as getStats counts: gaps of 150 ms more than usual."""
    samples: int
    """Of sound, played."""
    concealed: int
    """Of these, made up because nothing came."""
    energy: float
    """totalAudioEnergy: 0 is silence."""
    width: int
    height: int
    pair: Mapping[str, Any]
    """The selected candidate pair."""


def place(server: Running, name: str, path: str) -> str:
    """A URL on one of the node's listeners; `path` begins with a slash."""
    scheme = "rtmp" if name == "rtmp" else "http"
    return f"{scheme}://127.0.0.1:{server.addresses[name].port}{path}"


async def whep(
    browser: Browser,
    url: str,
    *,
    only: str = "",
    rewrite: Sequence[tuple[str, str]] = (),
    ice_servers: Sequence[Mapping[str, object]] = (),
    policy: str = "all",
) -> None:
    """Watch in the page that is open.

    Args:
        browser: at a page of the server's own origin.
        url: of the WHEP endpoint.
        only: "udp" or "tcp": of the server's candidates keep these.
        rewrite: texts of the answer to replace, such as a port by a relay's.
        ice_servers: RTCIceServer objects.
        policy: iceTransportPolicy.
    """
    options = {
        "only": only, "rewrite": [list(pair) for pair in rewrite],
        "iceServers": list(ice_servers), "policy": policy,
    }  # fmt: skip
    await browser.js(_WHEP, url, options)


async def whip(
    browser: Browser,
    url: str,
    *,
    codec: str = "",
    profile: str = "",
    layers: Sequence[str] = (),
    token: str = "",
    only: str = "",
    rewrite: Sequence[tuple[str, str]] = (),
    size: tuple[int, int] = (320, 180),
    rate: int = 15,
) -> None:
    """Publish the fake camera and microphone; the browser needs `FAKE_DEVICES`.

    Args:
        browser: at a page of the server's own origin.
        url: of the WHIP endpoint.
        codec: "video/H264", "video/VP8", ...; the browser's choice if empty.
        profile: only formats whose fmtp contains it.
        layers: rids of simulcast, smallest first.
        token: bearer token.
        only: as in `whep`.
        rewrite: as in `whep`.
        size: of the picture, pixels.
        rate: pictures per second.
    """
    options = {
        "only": only, "rewrite": [list(pair) for pair in rewrite], "iceServers": [],
        "policy": "all",
        "codec": codec, "profile": profile, "layers": list(layers) or None, "token": token,
        "width": size[0], "height": size[1], "frameRate": rate,
    }  # fmt: skip
    await browser.js(_WHIP, url, options)


async def watch(
    browser: Browser,
    seconds: float = 10,
    *,
    sound: bool = True,
    freezes: bool = False,
    deadline: float = 60,
) -> Watched:
    """Wait until the page has played so many seconds of media without a freeze; what came in them.

    A freeze begins the count anew: a machine with more to do than it has cores for stops pictures
    too, and what is asked is whether the stream would.

    Args:
        browser: after `whep`.
        seconds: of currentTime.
        sound: is there any?
        freezes: let them pass.
        deadline: seconds.

    Raises:
        AssertionError: it did not within `deadline` seconds; with the state and the console.
    """
    first = now = None
    with trio.move_on_after(deadline):
        while True:
            now = await browser.js(_STATS)
            heard = now["audio"].get("totalSamplesReceived", 0) or not sound
            if first is None or (not freezes and _stopped(first, now)):
                first = now if now["video"].get("framesDecoded", 0) > 5 and heard else None
            elif now["time"] - first["time"] >= seconds:
                return _between(first, now)
            await trio.sleep(0.1)
    said = "\n".join(await browser.console())
    raise AssertionError(f"the page does not play: first {first}\nnow {now}\n{said}")


async def frames_sent(browser: Browser) -> int:
    """Pictures that the page has sent since `whip`: how many there are depends on its encoder."""
    said = await browser.js(_STATS)
    return int(said["video"].get("framesSent", 0))


def _stopped(first: dict[str, Any], now: dict[str, Any]) -> bool:
    frozen = now["video"].get("freezeCount", 0) != first["video"].get("freezeCount", 0)
    return frozen or len(now["silences"]) != len(first["silences"])


def _between(first: dict[str, Any], now: dict[str, Any]) -> Watched:
    def grown(kind: str, name: str) -> Any:
        return now[kind].get(name, 0) - first[kind].get(name, 0)

    return Watched(
        frames=grown("video", "framesDecoded"),
        time=now["time"] - first["time"],
        freezes=now["video"].get("freezeCount", 0),
        samples=grown("audio", "totalSamplesReceived"),
        concealed=grown("audio", "concealedSamples") - grown("audio", "silentConcealedSamples"),
        energy=grown("audio", "totalAudioEnergy"),
        width=now["width"],
        height=now["height"],
        pair=now["pair"],
    )

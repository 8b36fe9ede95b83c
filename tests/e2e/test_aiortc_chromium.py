"""Chromium publishes to the aiortc engine and watches from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.chromium import chromium
from kit.engines import engine_stage, served, until

from livetrio.packet import Codec, StreamKey

pytestmark = pytest.mark.e2e

KEY = StreamKey("live", "movie")
RECEIVED = """
const stats = [...(await window.pc.getStats()).values()].filter(s => s.type === "inbound-rtp");
const of = (kind, field) => stats.find(s => s.kind === kind)?.[field] ?? 0;
return [of("video", "framesDecoded"), of("audio", "totalSamplesReceived")];
"""
"""Pictures decoded, samples heard."""
FLAGS = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PAGE = """<!doctype html><meta charset="utf-8"><video muted></video><script>
async function session(pc, url) {
  await pc.setLocalDescription();
  const answer = await fetch(url, {method: "POST", headers: {"Content-Type": "application/sdp"},
    body: pc.localDescription.sdp});
  const sdp = await answer.text();
  if (answer.status !== 201) throw new Error(sdp);
  await pc.setRemoteDescription({type: "answer", sdp});
}
async function publish(url) {
  const pc = new RTCPeerConnection();
  const media = await navigator.mediaDevices.getUserMedia({audio: true, video: true});
  for (const track of media.getTracks()) pc.addTransceiver(track, {direction: "sendonly"});
  await session(pc, url);
  return "ok";
}
async function play(url) {
  const pc = window.pc = new RTCPeerConnection(), stream = new MediaStream();
  pc.ontrack = (event) => stream.addTrack(event.track);
  for (const kind of ["video", "audio"]) pc.addTransceiver(kind, {direction: "recvonly"});
  await session(pc, url);
  const video = document.querySelector("video");
  video.srcObject = stream;
  await video.play();
  return "ok";
}
</script>"""


async def test_a_browser_publishes_and_another_page_of_it_watches(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(PAGE, "utf-8")
    async with (
        engine_stage("aiortc") as on,
        served(on.app) as port,
        chromium(*FLAGS) as publisher,
        chromium(*FLAGS) as viewer,
    ):
        await publisher.open(page.as_uri())
        await publisher.js(f"return publish('http://127.0.0.1:{port}/live/movie/whip')")
        await until(lambda: KEY in on.registry.streams)
        stream = on.registry.streams[KEY]
        await until(lambda: {t.codec for t in stream.tracks} == {Codec.H264, Codec.OPUS})
        await viewer.open(page.as_uri())
        await viewer.js(f"return play('http://127.0.0.1:{port}/live/movie/whep')")

        async def plays() -> bool:
            video, audio = await viewer.js(RECEIVED)
            return video > 60 and audio > 100_000

        await viewer.until(plays)

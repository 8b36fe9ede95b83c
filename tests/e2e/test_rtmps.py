"""RTMP over TLS, published and played by ffmpeg."""

from __future__ import annotations

from pathlib import Path

import trustme
from kit.ffmpeg import contiguous, packets, publishing, recording
from kit.programs import free_port
from kit.server import livetrio_server


def write_certificate(folder: Path) -> dict[str, str]:
    """A certificate for 127.0.0.1, as the configuration's `tls` wants it."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    return {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}


async def through(clip: Path, publish_url: str, play_url: str, file: Path) -> None:
    async with recording(play_url, file) as player, publishing(clip, publish_url) as publisher:
        assert await publisher.wait() == 0
        await player.finished()
    sent, got = await packets(clip), await packets(file)
    assert all(contiguous(got[track], sent[track]) for track in sent)


async def test_rtmps_beside_rtmp_shares_its_streams(tmp_path: Path, clip: Path) -> None:
    tls, port = write_certificate(tmp_path), free_port()
    url = f"rtmps://127.0.0.1:{port}/live/x"
    address = f"127.0.0.1:{port}"
    async with livetrio_server(tmp_path, tls=tls, rtmps_addr=address) as server:
        await through(clip, url, server.rtmp("x"), tmp_path / "plain.flv")
        await through(clip, server.rtmp("x"), url, tmp_path / "secret.flv")


async def test_enable_rtmps_turns_the_rtmp_port_itself_into_tls_as_in_livego(
    tmp_path: Path, clip: Path
) -> None:
    tls = write_certificate(tmp_path)
    settings = {"enable_rtmps": True, "rtmps_cert": tls["cert"], "rtmps_key": tls["key"]}
    async with livetrio_server(tmp_path, **settings) as server:
        url = server.rtmp("x").replace("rtmp:", "rtmps:")
        await through(clip, url, url, tmp_path / "got.flv")

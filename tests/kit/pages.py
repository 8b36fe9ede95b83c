"""A page with one video and one FLV library, as a file: what a user's own site would be."""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["FLV_JS", "player_page"]

FLV_JS = Path(__file__).parent.parent / "e2e" / "vendor" / "flv.js" / "flv.min.js"

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>player</title>
<video></video>
<script src="{script}"></script>
<script>
  const library = window.mpegts || window.flvjs;
  const player = library.createPlayer({source});
  player.on(library.Events.ERROR, (...why) => console.error("player", ...why));
  player.attachMediaElement(document.querySelector("video"));
  player.load();
  player.play().catch((why) => console.error("play", why));
</script>
"""


def player_page(folder: Path, library: Path, url: str, *, live: bool = True) -> str:
    """Write a page that plays `url` with flv.js or mpegts.js; its file: address for a browser.

    A page from a file has the origin "null": the stream plays only if the server's CORS headers
    let every origin in, as livego's do.
    """
    source = json.dumps({"type": "flv", "isLive": live, "url": url})
    page = folder / "player.html"
    text = PAGE.format(script=library.resolve().as_uri(), source=source)
    page.write_text(text, encoding="utf-8")
    return page.as_uri()

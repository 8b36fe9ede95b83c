#!/usr/bin/env python3
"""Mouth to ear: how long a sound takes from one browser through a room into another's speaker.

    python bench/mouth_to_ear.py

A Chromium without a window speaks short tones into the first seat of a voice room and receives
the room as a listener. Its encoder, livetrio, the listener's jitter buffer and decoder are in the
figure, sample by sample; the hardware of microphone and speaker is not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median

from rig import options, report
from rig.room_stages import ROOMS, LivetrioRooms, staged, user
from rig.servers import ServerError
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

SCRIPT = Path(__file__).parent / "rig" / "mouth.js"
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
VOICES = 4
SKIPPED = 2
"""Tones at the beginning, while the jitter buffer finds its size."""


def measured(base: str, token: str, tones: int) -> dict[str, object]:
    """What the page found."""
    flags = ChromeOptions()
    with tempfile.TemporaryDirectory(prefix="mouth-") as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            flags.add_argument(flag)
        flags.binary_location = "/usr/bin/chromium"
        driver = Chrome(options=flags, service=Service("/usr/bin/chromedriver"))
        try:
            driver.set_script_timeout(60 + 2 * tones)
            driver.get(f"{base}/")  # any page: same origin
            script = SCRIPT.read_text(encoding="utf-8")
            arguments = base, "room0", token, VOICES, tones
            found: dict[str, object] = driver.execute_async_script(script, *arguments)
            return found
        finally:
            driver.quit()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--tones", type=int, default=30)
    count: int = parser.parse_args().tones
    with staged(ROOMS, "voice", 8, None) as stage:
        assert isinstance(stage, LivetrioRooms)
        stage.open(0)
        found = measured(stage.api.base, stage.api.token(user(0, 1)), count)
    if "error" in found:
        raise ServerError(f"the page: {found['error']}")
    delays = found["delays"]
    assert isinstance(delays, list)
    print(" ".join(f"{delay * 1000:.1f}" for delay in delays), file=sys.stderr)
    settled = sorted(delays[SKIPPED:])
    if not settled:
        raise ServerError(f"nothing was heard: {found}")
    columns = ("tones", "heard", "median, ms", "p95, ms", "longest, ms", "jitter buffer, ms")
    times = median(settled), settled[int(len(settled) * 0.95)], settled[-1], found["buffer"]
    row = [str(count), str(len(delays)), *(report.milliseconds(float(each)) for each in times)]  # type: ignore[arg-type]
    print(report.heading("Mouth to ear, Chromium to Chromium", "Loopback; not pinned."))
    print(report.table(columns, [row]))


if __name__ == "__main__":
    sys.exit(options.run(main))

// The network in a word and four numbers, from what the sessions of this page measure.

import { kbits } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

const LOOK = 2000; // milliseconds

export class Quality {
  /** root: a badge; sources() gives {receiving, sending}: RtcStats or null. */
  constructor(root, sources) {
    this.root = root;
    this.sources = sources;
    this.timer = setInterval(() => this.look(), LOOK);
  }

  close() {
    clearInterval(this.timer);
    this.root.hidden = true;
  }

  async look() {
    const { receiving, sending } = this.sources();
    const [down, up] = await Promise.all([receiving?.look(), sending?.look()]);
    const both = [down, up].filter(Boolean);
    const rtts = both.map(({ rtt }) => rtt).filter((rtt) => rtt !== null);
    this.root.hidden = !rtts.length;
    if (!rtts.length) return;
    const rtt = Math.max(...rtts);
    const lost = Math.max(...both.map((told) => told.lost));
    const grade = gradeOf(rtt, lost);
    this.root.className = `badge quality ${{ good: "ok", fair: "warn", poor: "error" }[grade]}`;
    const rate = (told, arrow) => (told ? `${arrow} ${kbits(Math.round(told.rate / 1000))}` : "");
    this.root.textContent = [
      t(`room.quality-${grade}`), `${Math.round(rtt * 1000)} ms`, `${(lost * 100).toFixed(1)} %`,
      rate(down, "↓"), rate(up, "↑"),
    ].filter(Boolean).join(" · ");
    this.root.title = t("room.quality");
  }
}

/** People talk well below 150 ms each way and with 2 % lost (ITU-T G.114; Opus conceals that). */
function gradeOf(rtt, lost) {
  if (rtt < 0.3 && lost < 0.02) return "good";
  return rtt < 0.6 && lost < 0.08 ? "fair" : "poor";
}

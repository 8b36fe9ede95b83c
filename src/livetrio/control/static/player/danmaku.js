// Danmaku: what is said flies over the picture, each line on a track where it meets no other.

import { el } from "/assets/shared/dom.js";

const CROSSING = 8; // seconds from edge to edge
const HEIGHT = 32; // pixels of a track
const GAP = 24; // pixels between two lines of one track
const MOST = 60; // at once; more are only in the chat beside

export class Danmaku {
  constructor(screen) {
    this.layer = el("div", { class: "danmaku", "aria-hidden": "true" });
    screen.append(this.layer);
    this.on = true;
    this.tracks = []; // of the last line in each: when it is in whole, and when it is gone
  }

  turn(on) {
    this.on = on;
    if (!on) this.clear();
  }

  clear() {
    this.layer.replaceChildren();
    this.tracks = [];
  }

  fly(text, { mine = false } = {}) {
    if (!this.on || document.hidden || this.layer.childElementCount >= MOST) return;
    const line = el("span", { class: mine ? "mine" : "" }, text);
    this.layer.append(line);
    const width = this.layer.clientWidth;
    const speed = (width + line.offsetWidth) / CROSSING; // longer ones are faster
    const now = performance.now() / 1000;
    const count = Math.max(1, Math.floor((this.layer.clientHeight * 0.7) / HEIGHT));
    // The one before is in whole, and gone before this one, if it is faster, has crossed.
    const fits = (last) => !last || (now >= last.whole && now + width / speed >= last.gone);
    let track = 0;
    while (track < count && !fits(this.tracks[track])) track += 1;
    if (track === count) {
      line.remove(); // no room: better none than one over the other
      return;
    }
    this.tracks[track] = { whole: now + (line.offsetWidth + GAP) / speed, gone: now + CROSSING };
    line.style.top = `${track * HEIGHT}px`;
    const flight = line.animate(
      [{ transform: `translateX(${width}px)` }, { transform: "translateX(-100%)" }],
      { duration: CROSSING * 1000, fill: "backwards" },
    );
    flight.onfinish = () => line.remove();
  }
}

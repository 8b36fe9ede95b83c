// One stream in one <video>: the best transport that works here, with patience when it is away.

const RETRY = [1000, 2000, 3000, 5000]; // milliseconds; the last one repeats
const STALLED = 8000; // milliseconds without progress before the connection is made anew

/** Each way to watch is {label, player, source}; `player` is a class like WhepPlayer: made with
 * (video, source, tell), then close() and facts(); static supported() and patience. */
export class Fallback {
  /** onstate(state, way) is told "connecting", "playing", "away", "blocked" (needs a click),
   * "unsupported" (no way at all). */
  constructor(video, onstate) {
    this.video = video;
    this.onstate = onstate;
    this.ways = [];
    this.at = 0;
    this.player = null;
    this.played = false;
    this.blocked = false;
    this.failures = 0;
    this.timer = 0;
    this.seen = { time: 0, at: 0 };
    video.addEventListener("loadedmetadata", () => this.player && this.resume());
    setInterval(() => this.#watch(), 1000);
    video.addEventListener("playing", () => {
      if (!this.player) return;
      this.played = true;
      this.failures = 0;
      this.onstate("playing", this.way);
    });
  }

  /** The way in use, or tried. */
  get way() {
    return this.ways[this.at] ?? null;
  }

  /** Watch by the first of these ways that works. */
  play(ways) {
    this.stop();
    this.ways = ways.filter(({ player }) => player.supported());
    if (!this.ways.length) this.onstate("unsupported", null);
    else this.#open();
  }

  stop() {
    clearTimeout(this.timer);
    this.ways = [];
    this.at = 0;
    this.failures = 0;
    this.#close();
  }

  /** Start, by itself or after a click where the browser wants one. */
  resume() {
    const { player } = this;
    this.blocked = false;
    this.video.play().catch((error) => {
      if (error.name !== "NotAllowedError" || this.player !== player) return;
      this.blocked = true;
      this.onstate("blocked", this.way);
    });
  }

  /** What there is to tell about the picture now: delay in seconds or null, rate in bit/s. */
  facts() {
    const { videoWidth: width, videoHeight: height } = this.video;
    return { width, height, rate: 0, delay: null, dropped: 0, ...this.player?.facts() };
  }

  #open() {
    this.#close();
    const { way } = this;
    this.onstate("connecting", way);
    this.played = this.blocked = false;
    this.seen = { time: this.video.currentTime, at: Date.now() };
    const mine = new way.player(this.video, way.source, (what) => this.player === mine && this.#failed(what));
    this.player = mine;
  }

  #close() {
    const { player } = this;
    this.player = null;
    player?.close();
  }

  /** "away": the stream is not there, so no other way has it either. "lost": it played, and may
   * again. Anything else, or a loss before the first picture: this way does not work here. */
  #failed(what) {
    clearTimeout(this.timer);
    if (what === "away" || (what === "lost" && this.played)) {
      this.#later();
      return;
    }
    this.at += 1;
    if (this.at < this.ways.length) {
      // Not within the player's own callback: it may not be destroyed there.
      this.timer = setTimeout(() => this.ways.length && this.#open());
      return;
    }
    this.#later();
  }

  #later() {
    const wait = RETRY[Math.min(this.failures, RETRY.length - 1)];
    this.failures += 1;
    if (this.at >= this.ways.length) this.at = 0;
    this.onstate("away", this.way);
    this.timer = setTimeout(() => this.ways.length && this.#open(), wait);
  }

  /** A connection that died silently: no error comes, the picture only stands. */
  #watch() {
    if (!this.player) return;
    const now = Date.now();
    if (this.blocked || this.video.currentTime !== this.seen.time) {
      this.seen = { time: this.video.currentTime, at: now };
    } else if (now - this.seen.at > (this.played ? STALLED : this.way.player.patience)) {
      this.seen.at = now;
      this.#failed("lost");
    }
  }
}

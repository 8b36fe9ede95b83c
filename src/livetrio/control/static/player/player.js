// One stream in one <video>: mpegts.js over HTTP-FLV or WS-FLV, with patience when it is away.

/* global mpegts */

const RETRY = [1000, 2000, 3000, 5000]; // milliseconds; the last one repeats
const STALLED = 8000; // milliseconds without progress before the connection is made anew

export class Player {
  /** onstate(state) is told "connecting", "playing", "away", "blocked" (needs a click). */
  constructor(video, onstate) {
    this.video = video;
    this.onstate = onstate;
    this.url = null;
    this.player = null;
    this.failures = 0;
    this.timer = 0;
    this.seen = { time: 0, at: 0 };
    setInterval(() => this.#watch(), 1000);
    video.addEventListener("playing", () => {
      this.failures = 0;
      this.onstate("playing");
    });
  }

  static supported() {
    return typeof mpegts !== "undefined" && mpegts.isSupported();
  }

  play(url) {
    this.url = url;
    this.failures = 0;
    this.#open();
  }

  stop() {
    clearTimeout(this.timer);
    this.url = null;
    this.#close();
  }

  /** Start after a click, where the browser wanted one. */
  resume() {
    this.video.play().then(() => this.onstate("playing"), () => this.onstate("blocked"));
  }

  /** What there is to tell about the picture now. */
  facts() {
    const { video } = this;
    const buffered = video.buffered;
    const end = buffered.length ? buffered.end(buffered.length - 1) : video.currentTime;
    const quality = video.getVideoPlaybackQuality?.();
    return {
      width: video.videoWidth,
      height: video.videoHeight,
      buffer: Math.max(0, end - video.currentTime),
      dropped: quality ? quality.droppedVideoFrames : 0,
      rate: this.player?.statisticsInfo?.speed ?? 0, // kilobytes per second
    };
  }

  #open() {
    this.#close();
    this.onstate("connecting");
    const source = { type: "flv", isLive: true, url: this.url };
    const player = mpegts.createPlayer(source, {
      enableStashBuffer: false, // bytes are shown as they come
      liveSync: true, // plays a little faster when behind, instead of jumping
      liveSyncMaxLatency: 2,
      liveSyncTargetLatency: 0.8,
      autoCleanupSourceBuffer: true,
    });
    player.on(mpegts.Events.ERROR, () => this.#again());
    player.on(mpegts.Events.LOADING_COMPLETE, () => this.#again());
    player.attachMediaElement(this.video);
    player.load();
    this.player = player;
    this.seen = { time: this.video.currentTime, at: Date.now() };
    Promise.resolve(player.play()).catch((error) => {
      if (error.name === "NotAllowedError") this.onstate("blocked");
    });
  }

  #close() {
    const { player } = this;
    this.player = null;
    if (!player) return;
    player.unload();
    player.detachMediaElement();
    player.destroy();
  }

  #again() {
    if (!this.url) return;
    clearTimeout(this.timer);
    this.onstate("away");
    const wait = RETRY[Math.min(this.failures, RETRY.length - 1)];
    this.failures += 1;
    // Not within mpegts.js's own callback: it may not be destroyed there.
    this.timer = setTimeout(() => this.url && this.#open(), wait);
  }

  /** A connection that died silently: no error comes, the picture only stands. */
  #watch() {
    if (!this.player || this.video.paused) return;
    const now = Date.now();
    if (this.video.currentTime !== this.seen.time) {
      this.seen = { time: this.video.currentTime, at: now };
    } else if (now - this.seen.at > STALLED) {
      this.seen.at = now;
      this.#again();
    }
  }
}

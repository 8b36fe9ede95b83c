// Watch by HLS: with hls.js where there are Media Source Extensions, else by the browser itself
// (iPhones). Some seconds behind; plays where nothing else does.

const NATIVE = "application/vnd.apple.mpegurl";

export class HlsPlayer {
  static patience = 20000; // milliseconds until the first picture: the first segment takes some

  static supported() {
    const source = globalThis.ManagedMediaSource ?? globalThis.MediaSource;
    return Boolean(source) || document.createElement("video").canPlayType(NATIVE) !== "";
  }

  /** tell("lost" | "refused", reason) says why it does not go on. */
  constructor(video, { url }, tell) {
    this.video = video;
    this.tell = tell;
    this.hls = null;
    this.closed = false;
    this.#open(url);
  }

  facts() {
    const { hls, video } = this;
    return {
      rate: hls?.bandwidthEstimate ? hls.levels[hls.currentLevel]?.bitrate ?? 0 : 0,
      delay: hls?.latency || null,
      dropped: video.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0,
    };
  }

  close() {
    this.closed = true;
    if (this.hls) this.hls.destroy();
    else this.video.removeAttribute("src");
    this.video.load();
  }

  async #open(url) {
    // 380 kB that nobody loads for whom WebRTC or FLV plays
    const { default: Hls } = await import("/assets/vendor/hls.js/hls.light.min.mjs");
    if (this.closed) return;
    if (!Hls.isSupported()) {
      this.video.src = url;
      this.video.addEventListener("error", () => this.closed || this.tell("lost", "HLS"), { once: true });
      return;
    }
    const hls = new Hls({ lowLatencyMode: true, enableWorker: false });
    hls.on(Hls.Events.ERROR, (_, { fatal, type, details, response }) => {
      if (!fatal || this.closed) return;
      if (response?.code === 404) this.tell("away", details);
      else this.tell(type === Hls.ErrorTypes.NETWORK_ERROR ? "lost" : "refused", details);
    });
    hls.loadSource(url);
    hls.attachMedia(this.video);
    this.hls = hls;
  }
}

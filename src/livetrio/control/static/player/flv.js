// Watch by HTTP-FLV or WS-FLV, with mpegts.js: about a second, through everything that passes HTTP.

/* global mpegts */

export class FlvPlayer {
  static patience = 10000; // milliseconds until the first picture

  static supported() {
    return typeof mpegts !== "undefined" && mpegts.isSupported();
  }

  /** tell("lost", reason) says why it does not go on. */
  constructor(video, { url }, tell) {
    this.video = video;
    const player = mpegts.createPlayer({ type: "flv", isLive: true, url }, {
      enableStashBuffer: false, // bytes are shown as they come
      liveSync: true, // plays a little faster when behind, instead of jumping
      liveSyncMaxLatency: 2,
      liveSyncTargetLatency: 0.8,
      autoCleanupSourceBuffer: true,
    });
    player.on(mpegts.Events.ERROR, (kind, detail, info) => {
      const unknown = kind === mpegts.ErrorTypes.MEDIA_ERROR;
      tell(unknown ? "refused" : info?.code === 404 ? "away" : "lost", detail);
    });
    player.on(mpegts.Events.LOADING_COMPLETE, () => tell("lost", "ended"));
    player.attachMediaElement(video);
    player.load();
    this.player = player;
  }

  facts() {
    const { buffered, currentTime } = this.video;
    const end = buffered.length ? buffered.end(buffered.length - 1) : currentTime;
    return {
      rate: (this.player.statisticsInfo?.speed ?? 0) * 8000, // kilobytes per second
      delay: Math.max(0, end - currentTime),
      dropped: this.video.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0,
    };
  }

  close() {
    const { player } = this;
    player.unload();
    player.detachMediaElement();
    player.destroy();
  }
}

// How loud a microphone is, for a <meter> from 0 to 1.

const LOOK = 80; // milliseconds
const QUIETEST = -60; // dBFS that is shown as nothing

export class LevelMeter {
  /** element: a <meter>. */
  constructor(element) {
    this.element = element;
    this.context = null;
    this.source = null;
    this.analyser = null;
    this.samples = new Float32Array(1024);
    this.timer = setInterval(() => this.#look(), LOOK);
  }

  /** Listen to the sound of this stream from now on; null: to nothing. */
  listen(stream) {
    this.source?.disconnect();
    this.source = null;
    if (!stream?.getAudioTracks().length) return;
    this.context ??= new AudioContext();
    if (!this.analyser) {
      this.analyser = this.context.createAnalyser();
      this.analyser.fftSize = this.samples.length;
    }
    this.source = this.context.createMediaStreamSource(stream);
    this.source.connect(this.analyser);
    this.wake();
  }

  /** Browsers let sound be looked at only after a first click or key. */
  wake() {
    if (this.context?.state === "suspended") this.context.resume().catch(() => {});
  }

  close() {
    clearInterval(this.timer);
    this.source?.disconnect();
    this.context?.close();
    this.element.value = 0;
  }

  #look() {
    let level = 0;
    if (this.source) {
      this.analyser.getFloatTimeDomainData(this.samples);
      const power = this.samples.reduce((sum, value) => sum + value * value, 0) / this.samples.length;
      const decibels = power > 0 ? 10 * Math.log10(power) : QUIETEST;
      level = Math.min(1, Math.max(0, 1 - decibels / QUIETEST));
    }
    // up at once, down slowly: so eyes can follow it
    this.element.value = Math.max(level, this.element.value * 0.85);
  }
}

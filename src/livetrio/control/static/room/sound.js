// The sound of all slots: an element for each, which plays whoever is heard there.

import { el } from "/assets/shared/dom.js";

export class Sound {
  /** root: where the elements go; onblocked(blocked): the browser wants a click first. */
  constructor(root, onblocked) {
    this.root = root;
    this.onblocked = onblocked;
    this.elements = [];
  }

  /** Play these tracks; one that plays already goes on. */
  play(tracks) {
    for (const [slot, track] of tracks.entries()) {
      const element = this.elements[slot] ??= this.#add();
      if (!track || element.srcObject?.getTracks()[0] === track) continue;
      element.srcObject = new MediaStream([track]);
      this.#start(element);
    }
  }

  /** After a click: whatever was not allowed to play. */
  resume() {
    this.onblocked(false);
    for (const element of this.elements) if (element.paused) this.#start(element);
  }

  close() {
    for (const element of this.elements) {
      element.srcObject = null;
      element.remove();
    }
    this.elements = [];
  }

  #add() {
    const element = el("audio", { autoplay: true });
    this.root.append(element);
    return element;
  }

  #start(element) {
    element.play().catch((error) => {
      if (error.name === "NotAllowedError") this.onblocked(true);
    });
  }
}

// Before the room: who one is, what others will see and hear, and how to enter.

import { t } from "/assets/shared/i18n.js";

const NAME = "livetrio.name";

export class Lobby {
  /** elements by name: root, form, name, place, room, preview, dark, check, watch, about,
   * notice; devices, form: of the device check; enter({name, room, seat}) goes in. */
  constructor(elements, devices, deviceForm, enter) {
    this.at = elements;
    this.devices = devices;
    elements.check.after(deviceForm.root);
    this.deviceForm = deviceForm;
    deviceForm.root.hidden = true;
    elements.name.value = localStorage.getItem(NAME) ?? "";
    elements.check.addEventListener("click", () => this.check());
    elements.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter(enter, event.submitter !== elements.watch);
    });
  }

  /** Show it. fresh: on arrival; then devices that are allowed already are turned on. */
  async open({ fresh }) {
    this.at.root.hidden = false;
    this.busy(false);
    if (!navigator.mediaDevices) {
      this.at.check.disabled = true;
      this.notify(t("camera.insecure"));
      return;
    }
    if (!fresh) return;
    const allowed = await Promise.all(["camera", "microphone"].map(isAllowed));
    if (allowed.every(Boolean) && !this.at.root.hidden) await this.check();
  }

  close() {
    this.at.root.hidden = true;
  }

  /** Turn devices on; false if there are none for us. */
  async check() {
    if (!navigator.mediaDevices) {
      this.notify(t("camera.insecure"));
      return false;
    }
    try {
      await this.devices.open();
    } catch (error) {
      this.notify(t("camera.denied", { reason: error.message || error.name }));
      return false;
    }
    this.notify("");
    return true;
  }

  /** What the devices show by now. */
  show(stream) {
    const pictured = Boolean(stream?.getVideoTracks().length);
    this.at.preview.srcObject = stream;
    this.at.preview.hidden = !pictured;
    this.at.dark.hidden = Boolean(stream);
    this.deviceForm.root.hidden = !stream;
    this.at.check.hidden = Boolean(stream);
    this.deviceForm.fill();
  }

  /** Which room it is, and what is known of it. */
  about(place, text) {
    this.at.place.textContent = t("room.lobby-of", { room: place });
    this.at.about.textContent = text;
    this.at.about.hidden = !text;
  }

  notify(text) {
    this.at.notice.textContent = text;
    this.at.notice.hidden = !text;
  }

  busy(busy) {
    for (const button of this.at.form.querySelectorAll("button[type=submit]")) button.disabled = busy;
  }

  async #enter(enter, seat) {
    const { name, room } = this.at;
    localStorage.setItem(NAME, name.value.trim());
    this.busy(true);
    if (!seat) this.devices.close();
    if (!seat || this.devices.stream || (await this.check())) {
      await enter({ name: name.value.trim(), room: room.value.trim(), seat });
    }
    this.busy(false);
  }
}

async function isAllowed(name) {
  try {
    return (await navigator.permissions.query({ name })).state === "granted";
  } catch {
    return false; // a browser that does not tell
  }
}

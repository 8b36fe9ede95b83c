// Which camera, which microphone, how large, and a meter that shows that it hears something.

import { el, show } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";
import { LevelMeter } from "/assets/room/meter.js";

const HEIGHTS = { 360: "640 × 360", 540: "960 × 540", 720: "1280 × 720" };

export class DeviceForm {
  /** devices: a Devices; onfail(error): a choice cannot be had. `root` is the form. */
  constructor(devices, onfail) {
    this.devices = devices;
    this.onfail = onfail;
    this.camera = this.#select("camera");
    this.microphone = this.#select("microphone");
    this.height = this.#select("height", Object.entries(HEIGHTS));
    this.height.value = String(devices.chosen.height);
    const level = el("meter", { min: 0, max: 1, "aria-label": t("room.level") });
    this.meter = new LevelMeter(level);
    this.pictures = [
      el("label", {}, t("camera.device"), this.camera), el("label", {}, t("camera.size"), this.height),
    ];
    this.root = el(
      "div", { class: "stack devices" }, this.pictures[0],
      el("label", {}, t("camera.microphone"), this.microphone), level, this.pictures[1],
    );
    addEventListener("pointerdown", () => this.meter.wake());
    navigator.mediaDevices?.addEventListener("devicechange", () => this.fill());
  }

  /** What there is by now, and what is used. */
  async fill() {
    const { stream, video } = this.devices;
    this.meter.listen(stream);
    for (const label of this.pictures) label.hidden = !video;
    if (!navigator.mediaDevices) return;
    const found = await this.devices.found();
    options(this.camera, found.cameras, "camera.device", found.camera);
    options(this.microphone, found.microphones, "camera.microphone", found.microphone);
  }

  #select(kind, entries = []) {
    return el("select", {
      data: { key: kind },
      onchange: (event) => this.devices.choose({ [kind]: event.target.value }).catch(this.onfail),
    }, entries.map(([value, text]) => el("option", { value }, text)));
  }
}

function options(select, list, kind, chosen) {
  show(select, list.map(({ deviceId, label }, number) =>
    el("option", { value: deviceId, selected: deviceId === chosen }, label || `${t(kind)} ${number + 1}`)));
}

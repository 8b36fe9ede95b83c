// The bar of one's own controls: microphone, camera, hand, seat, invitation, and the way out.

import { t } from "/assets/shared/i18n.js";
import { button, menu, refresh } from "/assets/room/menu.js";

const BY_MANAGER = "off-by-manager";

export class Controls {
  /** acts: join(), leave(), turn(medium), raise(), settings(), share(), sound(), useProgram(),
   * battle(), end(), exit(). */
  constructor(root, acts) {
    this.root = root;
    this.acts = acts;
    this.now = null;
    this.narrow = matchMedia("(max-width: 640px)");
    this.narrow.addEventListener("change", () => this.now && this.render(this.now));
  }

  /** Nothing is known of the room yet, or there is none: but there is a way out. */
  wait() {
    this.now = null;
    refresh(this.root, "wait", () => [this.#exit()]);
  }

  /** {kind, free, mine (a seat or null), applied, rights, battling, blocked (the sound), external
   * (another program publishes from our seat)} */
  render(now) {
    this.now = now;
    // eight buttons are more than a phone is wide
    const crowded = this.narrow.matches && now.mine?.state === "taken";
    refresh(this.root, [now, crowded], () => [
      ...this.#buttons(now).map(button),
      ...(crowded ? [] : this.#rare(now).map(button)),
      this.#more(now, crowded ? this.#rare(now) : []),
      this.#exit(),
    ]);
  }

  #exit() {
    return button({ id: "exit", icon: "leave", text: t("room.exit"), danger: true, run: this.acts.exit });
  }

  /** What one needs once in a while: where there is room for it beside the others. */
  #rare({ mine }) {
    const { acts } = this;
    const settings = { id: "settings", icon: "settings", bare: true, text: t("room.settings"), run: acts.settings };
    const share = { id: "share", icon: "share", text: t("room.share"), run: acts.share };
    return mine?.state === "taken" ? [settings, share] : [share];
  }

  #more({ mine, rights, battling, external }, rare) {
    const items = rare.map(({ id, text, run }) => ({ id, text, run }));
    const seated = mine?.state === "taken";
    if (seated) {
      const text = t(external ? "room.program-end" : "room.program");
      items.push({ id: "program", text, run: this.acts.useProgram });
    }
    if (rights.owner && seated && !battling) {
      items.push({ id: "pk", text: t("room.pk-title"), run: this.acts.battle });
    }
    if (rights.owner) items.push({ id: "end", text: t("room.end"), danger: true, run: this.acts.end });
    return items.length ? menu(t("room.more"), items) : null;
  }

  #buttons({ kind, free, mine, applied, rights, blocked }) {
    const { acts } = this;
    const seated = mine?.state === "taken";
    const buttons = [];
    if (blocked) {
      buttons.push({ id: "sound", icon: "sound", text: t("room.sound"), primary: true, run: acts.sound });
    }
    if (seated) {
      buttons.push(this.#medium("microphone", mine.microphone));
      if (kind === "video") buttons.push(this.#medium("camera", mine.camera));
      const hand = t(mine.hand ? "room.lower-own" : "room.raise");
      if (!rights.owner) {
        buttons.push({ id: "hand", icon: "hand", bare: true, pressed: mine.hand, text: hand, run: acts.raise });
      }
      buttons.push({ id: "stand", icon: "seat", text: t("room.stand"), run: acts.leave });
    } else if (!mine) {
      const text = applied ? t("room.withdraw") : t(free || rights.staff ? "room.take-any" : "room.apply");
      buttons.push({ id: "join", icon: "seat", text, primary: !applied, run: acts.join });
    }
    return buttons;
  }

  #medium(medium, value) {
    const on = value === "on";
    return {
      id: medium, icon: on ? medium : `${medium}-off`, bare: true, pressed: on,
      disabled: value === BY_MANAGER,
      text: value === BY_MANAGER ? t(`room.${medium}-locked`) : t(`room.${medium}-${on ? "on" : "off"}`),
      run: () => this.acts.turn(medium),
    };
  }
}

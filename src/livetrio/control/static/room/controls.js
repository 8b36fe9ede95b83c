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
  }

  /** Nothing is known of the room yet, or there is none: but there is a way out. */
  wait() {
    refresh(this.root, "wait", () => [this.#exit()]);
  }

  /** {kind, free, mine (a seat or null), applied, rights, battling, blocked (the sound), external
   * (another program publishes from our seat)} */
  render(now) {
    refresh(this.root, now, () => [
      ...this.#buttons(now).map(button),
      this.#more(now),
      this.#exit(),
    ]);
  }

  #exit() {
    return button({ id: "exit", icon: "leave", text: t("room.exit"), danger: true, run: this.acts.exit });
  }

  #more({ mine, rights, battling, external }) {
    const items = [];
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
      buttons.push(
        { id: "settings", icon: "settings", bare: true, text: t("room.settings"), run: acts.settings },
        { id: "stand", icon: "seat", text: t("room.stand"), run: acts.leave },
      );
    } else if (!mine) {
      const text = applied ? t("room.withdraw") : t(free || rights.staff ? "room.take-any" : "room.apply");
      buttons.push({ id: "join", icon: "seat", text, primary: !applied, run: acts.join });
    }
    buttons.push({ id: "share", icon: "share", text: t("room.share"), run: acts.share });
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

// Small parts of the page: lists that are made anew only when they change, and menus.

import { el, show } from "/assets/shared/dom.js";
import { icon } from "/assets/room/icons.js";

const EDGE = 8; // pixels that a menu stays away from the edges
const shown = new WeakMap(); // what an element was last made of

/** Make what is inside of an element anew, if it is made of something else by now: what is open
 * or under somebody's finger stays as it is. key: whatever `make()` depends on. */
export function refresh(parent, key, make) {
  const text = JSON.stringify(key);
  if (shown.get(parent) === text) return;
  shown.set(parent, text);
  show(parent, make());
}

/** A button with an icon: {id, icon, text, run, pressed, danger, primary, bare (icon only)}. */
export function button({ id, icon: name, text, run, pressed, danger, primary, bare, disabled }) {
  return el(
    "button",
    {
      type: "button", data: { key: id }, onclick: run, disabled, title: bare ? text : null,
      class: [danger && "danger", primary && "primary", bare && "bare"].filter(Boolean).join(" "),
      "aria-pressed": pressed === undefined ? null : String(pressed),
      "aria-label": name ? text : null, // narrow screens show the icon only
    },
    name ? icon(name) : null, bare ? null : el("span", {}, text),
  );
}

/** A menu behind three dots: items {id, text, run, danger}; label: what it is about. */
export function menu(label, items) {
  const list = el("details", { class: "menu", ontoggle: () => list.open && keepOnScreen(box) });
  const box = el("div", { class: "items" }, items.map((item) => button({
    ...item,
    run: () => {
      list.open = false;
      item.run();
    },
  })));
  list.append(
    el("summary", { "aria-label": label, title: label, data: { key: `menu ${label}` } }, icon("more")),
    box,
  );
  return list;
}

/** Beside its dots, but never beyond an edge of a narrow screen. */
function keepOnScreen(box) {
  box.style.transform = "";
  const { left, right } = box.getBoundingClientRect();
  const over = Math.max(0, right + EDGE - document.documentElement.clientWidth);
  const shift = left < EDGE ? EDGE - left : -over;
  if (shift) box.style.transform = `translateX(${shift}px)`;
}

/** Menus close when something else is touched, and by Escape. */
export function closeMenus(root) {
  const close = (but) => {
    for (const list of root.querySelectorAll("details.menu[open]")) if (list !== but) list.open = false;
  };
  root.addEventListener("click", (event) => close(event.target.closest("details.menu")));
  root.addEventListener("keydown", (event) => {
    const open = root.querySelector("details.menu[open]");
    if (event.key !== "Escape" || !open) return;
    open.open = false;
    open.querySelector("summary").focus();
  });
}

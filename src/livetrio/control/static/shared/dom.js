// Building and refreshing the page. Text goes in as text only: names come from strangers.

/** An element: el("p", {class: "x", onclick: f, data: {key: 1}}, "text", child, null ...). */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name in node && name !== "list") node[name === "class" ? "className" : name] = value;
    else node.setAttribute(name === "class" ? "class" : name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Replace what is inside; the control that had the focus keeps it, if it is there again. */
export function show(parent, ...children) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const key = focused?.dataset.key;
  parent.replaceChildren(...children.flat().filter(Boolean));
  if (key) parent.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

/** Put text on the clipboard; also where browsers give it to secure pages only. */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = el("textarea", { value: text, readOnly: true, class: "skip" });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** A native modal dialog; resolves to what was entered, true, or null if it was dismissed.
 * input: the type of a field to fill; more: fields of the caller's own. */
export function ask({ title, text, ok, cancel, input, more = [] }) {
  return new Promise((resolve) => {
    const field = input ? el("input", { type: input, required: true, autocomplete: "off" }) : null;
    const dialog = el(
      "dialog", { onclose: () => { dialog.remove(); resolve(null); } },
      el(
        "form",
        {
          method: "dialog",
          onsubmit: () => resolve(field ? field.value : true),
        },
        el("h2", {}, title), el("p", { class: "quiet" }, text), field, more,
        el(
          "div", { class: "row" },
          el("button", { type: "button", class: "push", onclick: () => dialog.close() }, cancel),
          el("button", { type: "submit", class: "primary" }, ok),
        ),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let size = count;
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) { size /= 1000; unit += 1; }
  return `${size.toFixed(unit && size < 100 ? 1 : 0)} ${units[unit]}`;
}

export function kbits(rate) {
  return rate >= 1000 ? `${(rate / 1000).toFixed(rate < 100000 ? 2 : 0)} Mbit/s` : `${rate} kbit/s`;
}

export function span(seconds) {
  const all = Math.max(0, Math.floor(seconds));
  const [d, h, m, s] = [all / 86400, (all / 3600) % 24, (all / 60) % 60, all % 60].map(Math.floor);
  const two = (n) => String(n).padStart(2, "0");
  return d ? `${d} d ${two(h)}:${two(m)}` : h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

export const since = (unixSeconds) => span(Date.now() / 1000 - unixSeconds);

/** A stream's path in a URL: app and name, each part escaped, slashes kept. */
export const path = (app, name) =>
  [app, ...name.split("/")].map(encodeURIComponent).join("/");

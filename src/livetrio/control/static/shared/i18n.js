// The pages' words in English and Chinese, and the choice of language and theme.

import { el } from "./dom.js";
import { roomTexts } from "./room_texts.js";
import { texts } from "./texts.js";

const LANGUAGES = { en: "English", zh: "中文" };

export const language = pick();

function pick() {
  const chosen = localStorage.getItem("livetrio.language");
  if (chosen in LANGUAGES) return chosen;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** The text with this id; {word} in it becomes values.word. Unknown ids give the fallback. */
export function t(id, values = {}, fallback = id) {
  const pair = texts[id] ?? roomTexts[id];
  const text = pair ? pair[language === "zh" ? 1 : 0] : fallback;
  return text.replace(/{(\w+)}/g, (whole, word) => (word in values ? String(values[word]) : whole));
}

/** Fill every element that names its text: data-t for what it says, data-t-label for its label. */
export function translate(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
  }
  const title = document.querySelector("title");
  document.title = t(title.dataset.t);
}

/** Buttons for language and theme, put into the bar. */
export function addSwitches(bar) {
  const other = language === "zh" ? "en" : "zh";
  const themes = ["auto", "light", "dark"];
  const stored = localStorage.getItem("livetrio.theme");
  let theme = themes.includes(stored) ? stored : "auto";
  const button = el("button", { class: "plain", onclick: next });
  function apply() {
    if (theme === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
    button.title = t(`theme.${theme}`);
    button.setAttribute("aria-label", t(`theme.${theme}`));
  }
  function next() {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    localStorage.setItem("livetrio.theme", theme);
    apply();
  }
  apply();
  const switched = () => {
    localStorage.setItem("livetrio.language", other);
    location.reload();
  };
  bar.append(
    el("button", { class: "plain", lang: other, onclick: switched }, LANGUAGES[other]),
    button,
  );
}

// Talking to the server: the token if it wants one, errors as words.

import { ask } from "/assets/shared/dom.js";
import { t } from "/assets/shared/i18n.js";

const KEPT = "livetrio.token";
let asking = null;

export const token = () => sessionStorage.getItem(KEPT) ?? "";

async function request(path, options) {
  const headers = { ...options.headers };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  return fetch(path, { ...options, headers, cache: "no-store" });
}

function askForToken() {
  // One dialog, however many requests were refused meanwhile.
  asking ??= ask({
    title: t("token.title"), text: t("token.text"), ok: t("token.ok"), cancel: t("cancel"),
    input: "password",
  }).then((given) => {
    asking = null;
    if (given) sessionStorage.setItem(KEPT, given.trim());
    return given;
  });
  return asking;
}

const isRefused = (response) => response.status === 401 || response.status === 403;

/** Ask for JSON. Throws an Error with the server's reason; asks people for a token if needed. */
export async function api(path, options = {}) {
  let response = await request(path, options);
  let told = await response.clone().json().catch(() => null);
  while (isRefused(response) && /token|authorization|segments|signature/i.test(told?.detail ?? told?.data ?? "")) {
    if (!(await askForToken())) break;
    response = await request(path, options);
    told = await response.clone().json().catch(() => null);
  }
  if (!response.ok) throw new Error(told?.detail ?? told?.data ?? `HTTP ${response.status}`);
  return told;
}

/** livego's endpoints: a form in, what stands in "data" out. */
export async function livego(path, fields) {
  const told = await api(path, { method: "POST", body: new URLSearchParams(fields) });
  return told.data;
}

export function post(path, fields) {
  const headers = { "Content-Type": "application/json" };
  return api(path, { method: "POST", headers, body: JSON.stringify(fields) });
}

export const remove = (path) => api(path, { method: "DELETE" });

/** Call onevent for each event, and onstate(true or false) as the connection comes and goes. */
export function listen(onevent, onstate) {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const query = token() ? `?jwt=${encodeURIComponent(token())}` : "";
  const socket = new WebSocket(`${scheme}://${location.host}/v1/events${query}`);
  socket.onopen = () => onstate(true);
  socket.onmessage = (message) => onevent(JSON.parse(message.data));
  socket.onclose = () => {
    onstate(false);
    setTimeout(() => listen(onevent, onstate), 3000);
  };
}

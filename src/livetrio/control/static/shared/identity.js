// Who the visitor is: by a token of the site (#token=... in the address), else by a guest's.

const TOKEN = "livetrio.im-token";
const GUEST = "guest-"; // what the names of users begin with whom the server has made up

/** The token of the address, which is taken out of it, or the one kept until the tab closes. */
export function keptToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem(TOKEN, given);
    history.replaceState(history.state, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(TOKEN) ?? "";
}

/** Ask the server for a user of our own; where it has none to give, an Error with its reason. */
export async function becomeGuest(name = "") {
  const answer = await fetch("/v1/guest", { method: "POST", body: JSON.stringify({ name }) });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail ?? String(answer.status));
  sessionStorage.setItem(TOKEN, told.token);
  return told.token;
}

/** Nobody takes this token any more. */
export function forgetToken() {
  sessionStorage.removeItem(TOKEN);
}

/** What a token says of its user: {user, name, roles, guest, expired}. Nothing is verified here:
 * the server does that, and this is only what to show. */
export function describe(token) {
  let claims = {};
  try {
    const coded = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(coded), (char) => char.charCodeAt(0));
    claims = JSON.parse(new TextDecoder().decode(bytes)) ?? {};
  } catch {
    // no JWT: the server will say so
  }
  const user = String(claims.sub ?? "");
  return {
    user,
    name: typeof claims.info?.name === "string" ? claims.info.name : "",
    roles: Array.isArray(claims.roles) ? claims.roles : [],
    guest: user.startsWith(GUEST),
    expired: typeof claims.exp === "number" && claims.exp * 1000 < Date.now(),
  };
}

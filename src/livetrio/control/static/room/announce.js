// What has happened in a room, as a sentence for the chat.

import { t } from "/assets/shared/i18n.js";
import { nameIn } from "/assets/room/state.js";

const TOLD = new Set([
  "room.waiting", "room.resumed", "application.made", "application.rejected", "seat.taken",
  "seat.left", "seat.kicked", "manager.appointed", "pk.asked", "pk.refused", "pk.began",
]);
/** Those that are told to whom they concern, and to staff by the list of applicants. */
const OWN = new Set(["application.made", "application.rejected"]);

/** The sentence for an event, or "" where the page shows enough of it. before: the state that it
 * has changed; who has left is named there only. */
export function announcement(event, state, before, me) {
  if (event.type === "pk.ended") return result(event.result, state);
  if (!TOLD.has(event.type) || (OWN.has(event.type) && event.user !== me)) return "";
  const name = event.user ? nameIn(event.type === "seat.left" ? before : state, event.user) : "";
  return t(`room.event.${event.type}`, { name, seat: event.seat ?? "", room: event.with ?? state.pk?.with ?? "" });
}

function result({ scores = {}, winner } = {}, state) {
  const own = `${state.app}/${state.name}`;
  const other = Object.keys(scores).find((side) => side !== own);
  const count = `${scores[own] ?? 0} : ${scores[other] ?? 0}`;
  if (!winner) return t("room.pk-draw", { count });
  return t(winner === own ? "room.pk-won" : "room.pk-lost", { count });
}

// What somebody can do to a seat: the rules are the server's; here is only what to offer.

import { t } from "/assets/shared/i18n.js";
import { rights, seatOf } from "/assets/room/state.js";

const OFF = "off-by-manager";

/** What whoever has no seat does with an empty one: {id, text, path, body}; null: nothing. */
export function mainAct(state, number, { user, roles }) {
  const seat = state.seats[number];
  if (seat.state !== "empty" || seatOf(state, user)) return null;
  if (state.free || rights(state, user, roles).staff) {
    return { id: `take ${number}`, text: t("room.take"), path: `seats/${number}/take`, body: {} };
  }
  if (state.applications?.[user]) return null;
  return { id: `apply ${number}`, text: t("room.apply"), path: "applications", body: { seat: number } };
}

/** What else may be done to a seat: [{id, text, path, body, danger}]; path "invite" asks for
 * whom. */
export function menuActs(state, number, me) {
  const moves = state.seats[number].state === "empty" && seatOf(state, me.user)?.state === "taken";
  const move = { id: `move ${number}`, text: t("room.move"), path: "seats/own/move", body: { to: number } };
  return [...(moves ? [move] : []), ...staffActs(state, number, me)];
}

function staffActs(state, number, { user, roles }) {
  const seat = state.seats[number];
  const { owner, staff } = rights(state, user, roles);
  if (!staff) return [];
  const act = (id, path, body = {}, danger = false) =>
    ({ id: `${id} ${number}`, text: t(`room.${id}`), path, body, danger });
  const here = `seats/${number}`;
  switch (seat.state) {
    case "empty":
      return [act("invite", "invite", { seat: number }), act("lock", `${here}/lock`)];
    case "locked":
      return [act("unlock", `${here}/unlock`)];
    case "reserved":
      return [act("revoke", "invitations/revoke", { user: seat.user })];
    default:
      if (seat.user === user || !isBelow(state, seat.user, owner)) return [];
      return [
        ...switches(state, seat, here, act),
        seat.hand ? act("lower", `${here}/lower`) : null,
        ...(owner ? [appointment(state, seat, act)] : []),
        act("kick", `${here}/kick`, { user: seat.user }, true),
      ].filter(Boolean);
  }
}

function switches(state, seat, here, act) {
  const of = (medium, off, on) =>
    act(seat[medium] === OFF ? on : off, `${here}/${seat[medium] === OFF ? "unmute" : "mute"}`, { medium });
  const found = [of("microphone", "mute-microphone", "allow-microphone")];
  if (state.kind === "video") found.push(of("camera", "mute-camera", "allow-camera"));
  return found;
}

function appointment(state, seat, act) {
  return state.managers?.[seat.user]
    ? act("dismiss", "managers/dismiss", { user: seat.user })
    : act("appoint", "managers", { user: seat.user });
}

/** Managers act on neither owner nor managers. */
function isBelow(state, other, owner) {
  return owner || !(state.owner?.user === other || state.managers?.[other]);
}

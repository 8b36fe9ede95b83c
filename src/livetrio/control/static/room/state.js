// The room's state as this page knows it: asked for once, then followed by numbered events.

const HELD = 500; // events kept while the state is being fetched; a gap means to fetch again
const AGAIN = { first: 2000, last: 30000 }; // milliseconds until it is asked for again where that failed

/** A JSON merge patch (RFC 7396). Its objects inherit nothing: a user may be called "constructor"
 * or "__proto__", and be looked up like any other. */
export function merge(state, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const whole = state !== null && typeof state === "object" && !Array.isArray(state);
  const result = Object.assign(Object.create(null), whole ? state : {});
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merge(result[name], value);
  }
  return result;
}

export class RoomState {
  /** fetchState() gives the whole state; onchange(state, event, before) is told every change, with
   * event null where the state was fetched; onfail(error) that it could not be. */
  constructor(fetchState, onchange, onfail = () => {}) {
    this.fetchState = fetchState;
    this.onchange = onchange;
    this.onfail = onfail;
    this.state = null;
    this.held = null; // events that came while the state was on its way
    this.again = false;
    this.failures = 0;
    this.timer = 0;
    this.closed = false;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
  }

  /** Fetch the whole state. Events that come meanwhile are kept, and applied after it. */
  async sync() {
    if (this.closed) return;
    if (this.held) {
      this.again = true; // what is on its way may be older than what made us ask
      return;
    }
    clearTimeout(this.timer);
    this.held = [];
    let fetched = null;
    try {
      fetched = await this.fetchState();
      this.failures = 0;
    } catch (error) {
      if (this.closed) return;
      this.onfail(error);
      this.timer = setTimeout(() => this.sync(), this.#wait());
    }
    const { held } = this;
    this.held = null;
    if (this.closed) return;
    // Whatever was believed: events that are newer than the answer are among those held.
    if (fetched) this.#take(merge(null, fetched), null);
    for (const event of held) this.hear(event);
    if (this.again) {
      this.again = false;
      await this.sync();
    }
  }

  /** One publication of the room's channel; those that are no events of a room do nothing. */
  hear(event) {
    if (this.closed || event === null || typeof event !== "object") return;
    const numbered = Boolean(event.changes) && Number.isInteger(event.version);
    if (!numbered && !event.slots && event.type !== "room.speaking") return;
    if (this.held) {
      if (this.held.length < HELD) this.held.push(event);
      return;
    }
    const { state } = this;
    if (!state) {
      if (numbered) this.sync(); // it was not there yet, and now it is
      return;
    }
    if (event.life !== undefined && event.life !== state.life) {
      if (numbered) this.sync(); // opened anew; or an old word of the one before, and no harm done
    } else if (!numbered) {
      const news = event.slots ? { slots: event.slots } : { speaking: event.seats ?? [] };
      this.#take(Object.assign(Object.create(null), state, news), event);
    } else if (event.version === state.version + 1) {
      this.#take(merge(state, event.changes), event);
    } else if (event.version > state.version) this.sync();
  }

  /** Longer and longer: of a room that opens its channel tells too. Never for all at once. */
  #wait() {
    const wait = Math.min(AGAIN.first * 2 ** this.failures, AGAIN.last);
    this.failures += 1;
    return wait * (0.75 + Math.random() / 2);
  }

  #take(state, event) {
    const { state: known } = this;
    this.state = state;
    this.onchange(state, event, known);
  }
}

/** The seat of a user, taken or reserved: {number, ...seat}; null if he has none. */
export function seatOf(state, user) {
  const found = Object.entries(state?.seats ?? {}).find(([, seat]) => seat.user === user);
  return found && user ? { ...found[1], number: Number(found[0]) } : null;
}

/** What somebody may do here: {owner, staff}. roles: of his token. */
export function rights(state, user, roles) {
  const admin = roles.includes("admin");
  const owner = Boolean(user) && state.owner?.user === user;
  const manager = Boolean(state.managers?.[user]) || roles.includes("moderator");
  return { owner: owner || admin, staff: owner || admin || manager };
}

/** What room and page call somebody without a name. */
export const nameIn = (state, user) => {
  const seat = seatOf(state, user);
  return seat?.name || state.applications?.[user]?.name ||
    (state.owner?.user === user ? state.owner.name : "") || user;
};

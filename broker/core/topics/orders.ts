/** Places in the stored queue of a session: numbers that grow, and the packet id that each has on the wire. */
export interface Orders {
  /** The next one after `last`. */
  next (last: number): number
  /** Of what is not stored, too. */
  packetId (order: number): number
}

/** Packet ids of ordinary topics: those below are the inbox's. */
const FIRST_ID = 32_768
const IDS = 32_768

/** One process counts. */
export const counted: Orders = {
  next: last => last + 1,
  packetId: order => FIRST_ID + order % IDS
}

/** 1 January 2020: so the numbers stay exact until 2089. */
const SINCE_MS = 1_577_836_800_000
const LANES = 64
const PER_MS = 64

/**
 * Of several nodes, without asking each other: the time in ms, a number that goes on from the last one, so that packet ids
 * next to each other differ, and the node's lane, so that two nodes seldom want the same place at once. Never below the
 * last one that this node gave or heard of for the session, whatever the clocks say.
 */
export function timed (now: () => number, lane: number): Orders {
  return {
    next (last) {
      const after = Math.floor(last / LANES) + 1
      return Math.max(after, (now() - SINCE_MS) * PER_MS + after % PER_MS) * LANES + lane % LANES
    },
    packetId: order => FIRST_ID + Math.floor(order / LANES) % IDS
  }
}

import type { Bus, NodeId } from '../ports/bus.js'

/** One node alone: nobody else has news, or wants it. */
export const localBus: Bus = {
  node: 'alone' as NodeId,
  serve () {},
  publish () {},
  listen: async () => {},
  ignore () {},
  health: () => ({ ok: true }),
  close: async () => {}
}

import { startMosquitto, startParley } from '../rig/brokers.mjs'

/** Starts Parley with an empty store, calls `use` with it, and stops it whatever happens. */
export async function withParley ({ main }, use, settings = {}) {
  const parley = await startParley(main, settings)
  let result
  try {
    result = await use(parley)
  } catch (error) {
    await parley.stop().catch(() => {})   // the first error says more
    throw error
  }
  await parley.stop()
  return result
}

/** The same with Mosquitto beside it, undefined when it is not installed. */
export const withBoth = (context, use, settings) => withParley(context, async (parley) => {
  if (context.mosquitto === null) return use([parley])
  const mosquitto = await startMosquitto()
  try {
    return await use([parley, mosquitto])
  } finally {
    await mosquitto.stop()
  }
}, settings)

/** Two builds of Parley beside each other. */
export const withBuilds = (context, use) => withParley(context, (ours) =>
  withParley({ main: context.than }, (theirs) => use([ours, { ...theirs, name: 'the other build' }])))

/** Who may use ordinary topics, which by default is nobody. */
export const OPEN_TOPICS = { acl: [{ allow: ['publish', 'subscribe'], topic: 'app/#' }] }

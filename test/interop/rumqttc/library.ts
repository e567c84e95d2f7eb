import type { Library } from '../story.js'

/** Shared by the tests of this folder. */
export const rumqttc: Library = {
  at: import.meta.url,
  command: built => [`${built}/target/release/chat`],
  versions: [4],
  transports: ['mqtt', 'mqtts']
}

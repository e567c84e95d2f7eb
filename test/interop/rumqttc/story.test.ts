import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: built => [`${built}/target/release/chat`],
  versions: [4],
  transports: ['mqtt', 'mqtts']
})

import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: built => [`${built}/chat`],
  versions: [4, 5],
  transports: ['mqtt', 'mqtts'] // over WebSocket 1.3.12 leaves packets lying that came in one read
})

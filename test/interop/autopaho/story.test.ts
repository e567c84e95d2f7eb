import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: built => [`${built}/chat`],
  versions: [5],
  transports: ['mqtt', 'mqtts', 'ws']
})

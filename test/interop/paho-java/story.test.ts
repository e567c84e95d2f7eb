import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: built => ['java', '-cp', `${built}:${built}/lib/*`, 'Chat'],
  versions: [4],
  transports: ['mqtt', 'mqtts', 'ws']
})

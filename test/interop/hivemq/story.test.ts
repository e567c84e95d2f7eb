import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: built => ['java', '-cp', `${built}:${built}/lib/*`, 'Chat'],
  versions: [5],
  transports: ['mqtt', 'mqtts']
})

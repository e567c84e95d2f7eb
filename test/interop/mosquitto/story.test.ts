import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: (_built, folder) => [`${folder}chat.sh`],
  versions: [4, 5],
  transports: ['mqtt', 'mqtts'],
  offline: 3 // a process for each
})

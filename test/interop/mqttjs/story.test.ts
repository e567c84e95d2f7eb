import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: (_built, folder) => [process.execPath, `${folder}chat.mjs`],
  versions: [4, 5],
  transports: ['mqtt', 'mqtts', 'ws']
})

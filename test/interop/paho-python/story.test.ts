import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: (built, folder) => ['env', `PYTHONPATH=${built}`, 'python3', `${folder}chat.py`],
  versions: [4, 5],
  transports: ['mqtt', 'mqtts', 'ws']
})

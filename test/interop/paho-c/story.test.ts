import { chats } from '../story.js'

chats({
  at: import.meta.url,
  command: built => [`${built}/chat`],
  versions: [4, 5],
  // 1.3.12 may spoil the payload of what it is writing while the connection ends (eclipse-paho/paho.mqtt.c#1592)
  writesOnceLost: true,
  transports: ['mqtt', 'mqtts'] // over WebSocket 1.3.12 leaves packets lying that came in one read
})

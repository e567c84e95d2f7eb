// A chat client for the terminal: a line `u/bob hello` is sent to Bob, everything that happens is printed as JSON.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import mqtt from 'mqtt'

const [url, version, user, token, device, ca] = process.argv.slice(2)
const print = (event, more) => { console.log(JSON.stringify({ event, ...more })) }

// docs: connect
const client = mqtt.connect(url, {
  username: user,
  password: token,
  clientId: device,
  protocolVersion: Number(version), // 5, or 4 for MQTT 3.1.1
  clean: false, // the session stays: what this device misses comes when it is back
  properties: { sessionExpiryInterval: 30 * 24 * 3600 }, // MQTT 5: without it the session ends with the connection, `clean: false` or not
  keepalive: 240,
  reconnectPeriod: 1000,
  ca: ca && readFileSync(ca)
})
client.on('connect', () => { print('connected') })
client.on('error', error => {
  console.error(error.message)
  if (error instanceof mqtt.ErrorWithReasonCode) end(1) // refused: the library does not try again; sign in anew
})
client.subscribe('me/#', { qos: 1 }, () => { print('subscribed') }) // the library does it again at every reconnect
// docs: end

// docs: receive
const newest = new Map() // the newest seq of each conversation; an app keeps it with its messages
client.on('message', (topic, bytes) => {
  const payload = JSON.parse(bytes)
  if (topic === 'me/msg') {
    if (payload.seq <= (newest.get(payload.conv) ?? 0)) return print('again') // after a torn connection some come twice
    newest.set(payload.conv, payload.seq)
  }
  print('received', { topic, payload })
})
// docs: end

// docs: send
function say (conversation, body) {
  const cid = randomUUID() // the broker stores a cid once, however often the library sends it
  client.publish(`${conversation}/msg`, JSON.stringify({ cid, body }), { qos: 1 }, error => { if (!error) print('sent') })
}
// docs: end

const lines = createInterface({ input: process.stdin })
lines.on('line', line => {
  const [target, text] = line.split(/ (.*)/)
  if (target.startsWith('rpc/')) client.publish(target, text, { qos: 1 })
  else say(target, text)
})
lines.on('close', () => { end(0) })

function end (code) {
  process.exitCode = code
  client.end()
  process.stdin.destroy()
}

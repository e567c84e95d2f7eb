import { MongoClient } from 'mongodb'
import { newServers } from '../servers/shared.js'
import { Client, type ClientOptions } from '../support/client.js'
import { FakeClock } from '../support/fake-clock.js'
import { OPEN_TOPICS, payloads } from '../support/ordinary.js'
import { closeAll, type Parley, startParley } from '../support/parley.js'
import { Home } from '../support/process.js'

let servers: Awaited<ReturnType<typeof newServers>>
let clock: FakeClock
let a: Parley
let b: Parley
const homes: Home[] = []
beforeEach(async () => {
  servers = await newServers()
  clock = new FakeClock()
  ;[a, b] = [await startParley({ ...servers.settings, acl: OPEN_TOPICS }, clock), await startParley({ ...servers.settings, acl: OPEN_TOPICS }, clock)]
})
afterEach(async () => {
  for (const h of homes.splice(0)) await h.close()
  await closeAll()
  await servers.drop()
})

const withWill = (user: string, delaySeconds: number, more: Partial<ClientOptions> = {}): ClientOptions => ({
  user, version: 5, properties: { sessionExpiryInterval: 1000 },
  will: { topic: `will/${user}`, payload: Buffer.from('gone'), qos: 1, retain: false, properties: { willDelayInterval: delaySeconds } }, ...more
})

/** Lets time pass until it has happened, in steps that the bus takes for no outage. */
async function passes (until: () => boolean, ears: readonly Client[]): Promise<void> {
  for (let i = 0; !until(); i++) {
    if (i === 200) throw new Error(`it never happened: ${String(until)}`)
    clock.advance(2000)
    for (const e of ears) await e.settled()
  }
}

/** While a node that is dead is asked to let the session go, and does not answer. */
async function comes (client: Promise<Client>, ears: readonly Client[]): Promise<Client> {
  let there = false
  const coming = client.finally(() => { there = true })
  await Promise.all([coming, passes(() => there, ears)])
  return await coming
}

/** Persistent: what a turn of the clock makes the bus lose comes to them all the same. */
const listeners = async (): Promise<Client[]> => await Promise.all([a, b].map(async (p, i) => await p.client({ user: `ear${i}`, version: 5, properties: { sessionExpiryInterval: 10_000 }, subscribe: ['will/#'] })))

test('a session that connects to another node within the delay cancels its will; one that does not come back has it sent once', async () => {
  const ears = await listeners()
  const [back, away] = [await a.client(withWill('back', 60)), await a.client(withWill('away', 60))]
  for (const c of [back, away]) c.destroy()
  // the node has seen that it is cut: the takeover waits for what it leaves behind
  await b.client({ user: 'back', version: 5, clean: false, properties: { sessionExpiryInterval: 1000 } })
  await passes(() => ears.every(e => e.on('will').length > 0), ears)
  let after = 0
  await passes(() => ++after > 20, ears)
  await Promise.all(ears.map(async e => { await e.settled() }))
  for (const e of ears) expect([payloads(e, 'will/away'), payloads(e, 'will/back')]).toEqual([['gone'], []])
})

test('a will without delay is sent once when its session is taken over by another node', async () => {
  const ears = await listeners()
  await a.client(withWill('moves', 0))
  const there = await b.client(withWill('moves', 0, { clean: false }))
  for (const e of ears) await e.got('will', 1)
  await there.end()
  await Promise.all(ears.map(async e => { await e.settled() }))
  expect(ears.map(e => payloads(e, 'will/moves'))).toEqual([['gone'], ['gone']])
})

test('wills of a killed node are sent once by one of the others, but for those whose clients came back, and its sessions go on', async () => {
  const home = new Home({ ...servers.settings, acl: OPEN_TOPICS })
  homes.push(home)
  const life = await home.start()
  const ears = await listeners()
  const clients = await Promise.all(['w1', 'w2', 'w3'].map(async u => await Client.connect(life.mqttPort, withWill(u, 0, { subscribe: ['q'] }))))
  await life.kill9()
  await Promise.all(clients.map(async c => { await c.untilClosed() }))
  await comes(b.client(withWill('w3', 0, { clean: false })), ears)
  // the server's clock says who lives, and cannot be moved: the dead node's last sign of life is made older instead
  const mongo = await MongoClient.connect(servers.settings.mongo.url)
  try {
    const nodes = mongo.db().collection<{ _id: string, at: Date }>('nodes')
    const session = await mongo.db().collection<{ _id: string, n: string }>('topicSessions').findOne({ _id: 'w1/phone' })
    await nodes.updateOne({ _id: session!.n }, { $set: { at: new Date(0) } })
    await passes(() => ears.every(e => e.on('will').length >= 2), ears)
    let after = 0
    await passes(() => ++after > 20, ears)
    await Promise.all(ears.map(async e => { await e.settled() }))
    for (const e of ears) expect(e.on('will').map(d => d.topic).sort()).toEqual(['will/w1', 'will/w2'])
    expect(await mongo.db().collection('wills').countDocuments()).toBe(1)
  } finally { await mongo.close() }
  await ears[0]!.settled()
  const alice = await a.client({ user: 'alice' })
  await alice.say('q', 'x')
  const back = await comes(b.client({ user: 'w1', version: 5, clean: false, properties: { sessionExpiryInterval: 1000 } }), ears)
  await back.got('q', 1)
}, 60_000)

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Client } from '../support/client.js'
import { range } from '../support/inbox.js'
import { Home } from '../support/process.js'

const OPEN_FILES = 200

let home: Home
beforeEach(() => { home = new Home() })
afterEach(async () => { await home.close() })

async function opened (port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume()
  await once(socket, 'connect')
  return socket
}

test('a process that may open no more files turns connections away, and all else goes on', async () => {
  const node = await home.start(undefined, { openFiles: OPEN_FILES })
  const alice = await Client.connect(node.mqttPort, { user: 'alice' })
  const bob = await Client.connect(node.mqttPort, { user: 'bob', subscribe: ['me/#'] })
  const crowd = await Promise.all(range(1, 2 * OPEN_FILES).map(async () => await opened(node.mqttPort)))
  const away = async (): Promise<number> => Number(/^parley_turned_away_total\{why="descriptors"\} (\d+)$/m.exec(await (await fetch(`http://127.0.0.1:${node.httpPort}/metrics`)).text())?.[1] ?? 0)
  // half of what may be opened is kept for the store and for HTTP
  while (await away() < 2 * OPEN_FILES - OPEN_FILES / 2 + 2) await alice.settled()
  await alice.say('u/bob/msg', { body: 1 })
  await bob.got('me/msg', 1)
  expect((await fetch(`http://127.0.0.1:${node.httpPort}/readyz`)).status).toBe(200)
  await expect(Client.connect(node.mqttPort, { user: 'carol' })).rejects.toThrow(/is closed/)
  const said = node.said().split('\n').filter(l => l.includes('may not open more files'))
  expect(said.map(l => (JSON.parse(l) as { level: string }).level)).toEqual(['warn'])

  for (const s of crowd) s.destroy()
  const open = async (): Promise<string> => /^parley_connections (\d+)$/m.exec(await (await fetch(`http://127.0.0.1:${node.httpPort}/metrics`)).text())![1]!
  while (await open() !== '2') await alice.settled()
  const carol = await Client.connect(node.mqttPort, { user: 'carol', subscribe: ['me/#'] })
  await alice.say('u/carol/msg', { body: 2 })
  await carol.got('me/msg', 1)
  expect(node.said()).not.toMatch(/"level":"(error|fatal)"/)
  for (const c of [alice, bob, carol]) c.destroy()
  expect(await node.stop()).toBe(0)
})

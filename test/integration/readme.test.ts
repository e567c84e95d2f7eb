import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { selfSigned } from '../support/certificate.js'
import { Client } from '../support/client.js'
import { Home } from '../support/process.js'

// The README's own lines, run as they stand: those of Mosquitto's clients by MQTT.js's, which take the same options.
const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'README.md'), 'utf8')
const fenced = [...page.matchAll(/^```(\w*)\n(.*?)^```$/gms)]
const blocks = (language: string): string[] => fenced.filter(m => m[1] === language).map(m => m[2]!)
const lines = blocks('sh').flatMap(b => b.trim().split('\n'))

/** The words of a shell line that holds nothing but words and single quotes. */
const words = (line: string): string[] => [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(m => m[1] ?? m[2] ?? m[3]!)

/** What MQTT.js's command line needs to do the same. */
function asMqttJs (line: string, port: number): string[] {
  const given = words(line.replace(/^npx mqtt /, 'mqtt_').replace(/^mosquitto_/, 'mqtt_'))
  const args = [given[0]!.slice('mqtt_'.length), ...given.slice(1).map(w => w === '-c' ? '--no-clean' : w)]
  args[args.indexOf('-p') + 1] = String(port)
  return args
}

let home: Home
const clients = new Set<ChildProcess>()
beforeEach(() => { home = new Home() })
afterEach(async () => {
  for (const c of clients) c.kill('SIGKILL')
  await home.close()
})

/** Runs a line; resolves with what it printed once that holds `wanted`, or it ended. */
async function run (line: string, port: number, wanted?: string): Promise<string> {
  const child = spawn(process.execPath, [join(root, 'node_modules/mqtt/build/bin/mqtt.js'), ...asMqttJs(line, port)], { cwd: home.dir, stdio: ['ignore', 'pipe', 'pipe'] })
  clients.add(child)
  let out = ''
  const found = new Promise<void>(resolve => {
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (b: Buffer) => { out += b.toString(); if (wanted !== undefined && out.includes(wanted)) resolve() })
  })
  await Promise.race([found, once(child, 'exit')])
  child.kill()
  return out
}

const starting = (start: string): string[] => lines.filter(l => l.startsWith(start))
const shown = blocks('').find(b => b.startsWith('me/msg '))!.trim().replace(/"ts":\d+/, '"ts":TS')

test.each(['mosquitto_', 'npx mqtt '])('the first message, pasted (%s…): what bob missed comes when he listens again', async by => {
  const { mqttPort } = await home.start()
  const [sub] = starting(`${by}sub`)
  const [pub] = starting(`${by}pub`).filter(l => l.includes('u/bob/msg') && !l.includes(' -h '))
  const phone = await Client.connect(mqttPort, { user: 'bob', subscribe: ['me/#'] }) // makes the device
  await phone.end()
  await run(pub!, mqttPort)
  expect((await run(sub!, mqttPort, 'hello')).trim().replace(/"ts":\d+/, '"ts":TS')).toBe(shown)
})

test('the group, pasted: its members get what is said in it', async () => {
  const { mqttPort } = await home.start()
  const [create, say] = lines.filter(l => l.includes('group.create') || l.includes('g/team/msg'))
  await run(create!, mqttPort)
  await run(say!, mqttPort)
  for (const user of ['bob', 'carol']) {
    const out = await run(starting('mosquitto_sub')[0]!.replace('-u bob', `-u ${user}`), mqttPort, 'hello all')
    expect(out).toContain('{"conv":"g/team","seq":2,')
  }
})

test('the configuration is one, and the commands below it are commands', async () => {
  writeFileSync(join(home.dir, 'parley.yaml'), blocks('yaml')[0]!)
  const { cert, key } = selfSigned('chat.example.com')
  writeFileSync(join(home.dir, 'tls.crt'), cert)
  writeFileSync(join(home.dir, 'tls.key'), key)
  const commands = starting('node dist/main.js').map(l => words(l.replace(/ #.*/, '')).slice(2))
  expect(commands.map(c => c[0])).toEqual(['check-config', 'serve', 'token'])
  for (const args of commands.filter(c => c[0] !== 'serve')) {
    const child = spawn(process.execPath, [join(root, 'dist/main.js'), ...args], { cwd: home.dir, stdio: 'ignore' })
    expect(await once(child, 'exit')).toEqual([0, null])
  }
})

test('every page that the README names is there', () => {
  for (const [, file] of page.matchAll(/\]\((?!https?:)([^)#]+)/g)) expect(() => readFileSync(join(root, file!))).not.toThrow(/ENOENT/)
})

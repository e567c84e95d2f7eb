// Appends per second and CPU per append of the LMDB store, without the broker around it.
//   npm run build && node bench/store.mjs [seconds per case] [folder]
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLmdb } from '../dist/broker/stores/lmdb/open.js'

const seconds = Number(process.argv[2] ?? 3)
const base = process.argv[3] ?? tmpdir()
const quiet = { debug () {}, info () {}, warn: console.warn, error: console.error }
const fields = Buffer.from(`"body":"${'x'.repeat(100)}"`)
const NONE = Buffer.alloc(0)

async function measure (name, { conversations, cid, window }) {
  const dir = mkdtempSync(join(base, 'parley-bench-'))
  const stores = await openLmdb(dir, { log: quiet })
  const convs = Array.from({ length: conversations }, (_, i) => `d/user-${i}-aaaaaaaaaaaa/user-${i}-bbbbbbbbbbbb`)
  const froms = convs.map((_, i) => `user-${i}-aaaaaaaaaaaa`)
  let n = 0
  let until = performance.now() + 1000
  const sender = async () => {
    while (performance.now() < until) {
      const i = n++
      const c = i % conversations
      const r = await stores.log.append({
        conv: convs[c], from: froms[c], dev: 'a-device-0123456789', cid: cid ? `cid-${i}-abcdef` : '', type: 'text',
        fields, bytes: null, exp: 0, hash: i, packetId: i & 0xffff, push: NONE, nowMs: Date.now(), dup: false
      })
      if (r.kind !== 'stored') throw new Error(r.kind)
    }
  }
  await Promise.all(Array.from({ length: window }, sender)) // warm-up
  const before = n
  const start = performance.now()
  until = start + seconds * 1000
  const cpu = process.cpuUsage()
  const main = performance.eventLoopUtilization()
  await Promise.all(Array.from({ length: window }, sender))
  const used = process.cpuUsage(cpu)
  const busy = performance.eventLoopUtilization(main)
  const s = (performance.now() - start) / 1000
  console.log(`${name.padEnd(44)} ${Math.round((n - before) / s).toString().padStart(7)}/s  ${(busy.active * 1000 / (n - before)).toFixed(1).padStart(6)} µs main thread  ${((used.user + used.system) / (n - before)).toFixed(1).padStart(6)} µs CPU in all`)
  await stores.close()
  rmSync(dir, { recursive: true })
}

for (const window of [20, 200, 2000]) {
  for (const conversations of [1, 1000]) {
    for (const cid of [false, true]) {
      await measure(`${conversations} conversation(s), ${cid ? 'cid' : 'no cid'}, ${window} waiting`, { conversations, cid, window })
    }
  }
}

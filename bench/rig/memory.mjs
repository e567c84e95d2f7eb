// A broker's memory, seen from outside.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const SAMPLE_MS = 100

/**
 * Anonymous pages of a process, kB. Not VmRSS, which counts the pages of the store's mapped file that happen to be in
 * the page cache: they grow with what is stored and cost nothing.
 */
export function anonymousKb (pid) {
  let status
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1')
  } catch (error) {
    throw new Error('memory is read from /proc/PID/status, which this machine does not have, or the broker has ended', { cause: error })
  }
  return Number(/RssAnon:\s+(\d+)/.exec(status)[1])
}

/** Samples every 100 ms until `stop`. `phase(name)` begins a phase; `peakKb` holds the highest sample of each. */
export function watchMemory (pid) {
  let now = 'start'
  const peakKb = { start: anonymousKb(pid) }
  const sample = () => { peakKb[now] = Math.max(peakKb[now] ?? 0, anonymousKb(pid)) }
  const timer = setInterval(() => { try { sample() } catch { clearInterval(timer) } }, SAMPLE_MS)   // ended: whoever waits for it says so
  return {
    peakKb,
    phase: (name) => { now = name; sample() },
    stop: () => { clearInterval(timer); sample() },
  }
}

/** What is live: V8 keeps garbage, and a young generation whose size does not depend on connections. */
export async function liveKb (broker) {
  for (let i = 0; i < 3; i++) {
    await collectGarbage(broker.inspectPort)
    await sleep(400)
  }
  return anonymousKb(broker.pid)
}

/** One request to Node's inspector. By hand: Node 20 has no WebSocket client. */
async function collectGarbage (port) {
  const [target] = await (await fetch(`http://127.0.0.1:${port}/json`)).json()
  const { pathname } = new URL(target.webSocketDebuggerUrl)
  const request = Buffer.from('{"id":1,"method":"HeapProfiler.collectGarbage"}')
  const frame = Buffer.concat([Buffer.from([0x81, 0x80 | request.length, 0, 0, 0, 0]), request])   // masked with zeros
  await new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1')
    const timer = setTimeout(() => { socket.destroy(new Error('the inspector does not answer')) }, 20000)
    let received = ''
    let upgraded = false
    socket.on('error', reject)
    socket.on('close', () => { clearTimeout(timer); reject(new Error('the inspector closed the connection')) })
    socket.on('data', (bytes) => {
      received += bytes.latin1Slice()
      if (!upgraded && received.includes('\r\n\r\n')) {
        upgraded = true
        socket.write(frame)
      }
      if (received.includes('"id":1')) { resolve(); socket.destroy() }
    })
    socket.write([
      `GET ${pathname} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Upgrade: websocket', 'Connection: Upgrade',
      'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`, '', '',
    ].join('\r\n'))
  })
}

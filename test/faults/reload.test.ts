import { writeFileSync } from 'node:fs'
import { Authority, selfSigned } from '../support/certificate.js'
import { Client } from '../support/client.js'
import { Home } from '../support/process.js'
import { CertificateFiles, tlsSocket } from '../support/tls.js'

test('SIGHUP: certificate, key and authority are read again, connections stay', async () => {
  const files = new CertificateFiles()
  const [before, after] = [new Authority('before'), new Authority('after')]
  const ca = `${files.cert}.ca`
  writeFileSync(ca, before.cert)
  const mqtt = { protocol: 'mqtt', host: '127.0.0.1', port: 0 }
  const home = new Home({ listeners: [mqtt, { ...mqtt, protocol: 'mqtts', cert: files.cert, key: files.key, clientCa: ca }] })
  try {
    const node = await home.start()
    const port = Number(/mqtts:\/\/127\.0\.0\.1:(\d+)/.exec(node.said())![1])
    const alice = Client.over(await tlsSocket(port, files, before.issue('alice')))
    await alice.hello({ user: 'alice' })
    files.put(selfSigned('second'))
    writeFileSync(ca, after.cert)
    const reloaded = new Promise<void>(resolve => { node.child.stdout!.on('data', () => { if (node.said().includes('"msg":"reloaded"')) resolve() }) })
    node.child.kill('SIGHUP')
    await reloaded
    const bob = Client.over(await tlsSocket(port, files, after.issue('bob')))
    await bob.hello({ user: 'bob' })
    const dropped = Client.over(await tlsSocket(port, files, before.issue('carol')))
    await expect(dropped.hello({ user: 'carol' })).rejects.toThrow(/is closed/)
    await alice.settled()
    for (const c of [alice, bob]) c.destroy()
    expect(await node.stop()).toBe(0)
  } finally {
    await home.close()
    files.remove()
  }
})

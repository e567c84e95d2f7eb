import type { Client } from '../support/client.js'
import { inBoth, ordinaryNode, payloads } from '../support/ordinary.js'

const node = ordinaryNode()

/** Which of the topics reach a subscriber of the filter: it is the last one that is published to that it waits for. */
async function reached (c: Client, publisher: Client, filter: string, topics: string[]): Promise<string[]> {
  const end = node.topic()
  await c.subscribe(filter, 1)
  await c.subscribe(end, 1)
  const before = c.heard.length
  for (const t of topics) await publisher.say(t, 'x')
  await publisher.say(end, 'x')
  await c.got(end, 1)
  const got = c.heard.slice(before).flatMap(h => h.cmd === 'publish' && h.topic !== end ? [h.topic] : [])
  await c.unsubscribe(filter)
  return got
}

inBoth('what is delivered matches a filter of the subscriber, and all that matches is delivered [MQTT-3.3.2-3] [MQTT3-4.7.1-2 4.7.1-3] [MQTT5-4.7.1-1 4.7.1-2]', async version => {
  const t = node.topic()
  const [c, publisher] = [await node.client({ version }), await node.client({ version })]
  const topics = [t, `${t}/`, `${t}/a`, `${t}/a/`, `${t}/a/b`, `${t}/a/b/c`, `${t}//b`, `${t}/b/a`, `${t}/aa`, `/${t}`]
  const cases: [string, string[]][] = [
    [t, [t]],
    [`${t}/#`, topics.slice(0, 9)],
    [`${t}/+`, [`${t}/`, `${t}/a`, `${t}/aa`]],
    [`${t}/a/#`, [`${t}/a`, `${t}/a/`, `${t}/a/b`, `${t}/a/b/c`]],
    [`${t}/+/b`, [`${t}/a/b`, `${t}//b`]],
    [`${t}/+/#`, topics.slice(1, 9)],
    [`${t}/a/+`, [`${t}/a/`, `${t}/a/b`]],
    [`${t}/+/+/c`, [`${t}/a/b/c`]],
    [`+/${t.split('/')[1]!}/a`, [`${t}/a`]],
    [`/${t}`, [`/${t}`]],
    [`+/${t}`, [`/${t}`]],
    [`/+/${t.split('/')[1]!}`, [`/${t}`]],
    ['#', topics]
  ]
  for (const [filter, expected] of cases) expect([filter, await reached(c, publisher, filter, topics)]).toEqual([filter, expected])
})

inBoth('a filter that begins with a wildcard matches no topic that begins with `$` [MQTT-4.7.2-1]', async version => {
  const [c, publisher] = [await node.client({ version }), await node.client({ version })]
  const t = node.topic()
  for (const filter of ['#', '+/#', '+/broker/uptime', '+/+']) await c.subscribe(filter, 1)
  node.clock.advance(120_000) // what the broker says about itself is published at intervals
  for (const topic of ['$SYS/broker/uptime', '$other/x', '$']) await publisher.say(topic, 'x')
  await publisher.say(t, 'last')
  await c.got(t, 1)
  expect(c.heard.filter(h => h.cmd === 'publish' && h.topic.startsWith('$'))).toEqual([])
})

inBoth('names and filters are compared as they are: case, spaces, slashes, composed characters, U+FEFF [MQTT-4.7.3-4] [MQTT3-1.5.3-3] [MQTT5-1.5.4-3]', async version => {
  const t = node.topic()
  const [c, publisher] = [await node.client({ version }), await node.client({ version })]
  const names = ['a', 'A', ' a', 'a ', 'a/', '/a', '\u00e9', 'e\u0301', '\ufeffa', 'a\ufeff', '\ufeff', '%61', '../a', './a', '\u{1f600}', '\ufdd0', '__proto__', 'constructor'].map(n => `${t}/${n}`)
  for (const name of names) expect(await reached(c, publisher, name, names)).toEqual([name])
  expect(await reached(c, publisher, `\ufeff${t}`, [t, `\ufeff${t}`])).toEqual([`\ufeff${t}`])
})

inBoth('a topic name has at least one character and at most 65,535 bytes [MQTT-4.7.3-1 4.7.3-3]', async version => {
  const [c, publisher] = [await node.client({ version }), await node.client({ version })]
  for (const topic of ['x', '/', ' ', 'y'.repeat(65_535)]) expect(await reached(c, publisher, topic, [topic])).toEqual([topic])
})

inBoth('a subscription to all topics is sent no message of an inbox', async version => {
  const [c, publisher, t] = [await node.client({ version }), await node.client({ version }), node.topic()]
  await c.subscribe('#', 1)
  await publisher.say('u/somebody/msg', 'private')
  await publisher.say(t, 'last')
  await c.got(t, 1)
  expect(c.heard.filter(h => h.cmd === 'publish').map(h => h.topic)).toEqual([t])
  expect(payloads(c, t)).toEqual(['last'])
})

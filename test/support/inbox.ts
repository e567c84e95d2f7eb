import type { Client } from './client.js'

/** Seqs of the entries delivered, in the order in which they came; of one conversation when it is named. */
export const seqs = (c: Client, conv?: string): number[] =>
  c.on('me/msg').filter(d => conv === undefined || d.json.conv === conv).map(d => d.json.seq as number)

/** `from`, `from + 1` … `to`. */
export const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

/** Publishes `n` messages and waits until all are acknowledged. */
export async function fill (c: Client, topic: string, n: number, body: (i: number) => unknown = i => i): Promise<void> {
  const ids = range(1, n).map(i => c.publish(topic, { body: body(i) }))
  await Promise.all(ids.map(async id => await c.answer('puback', id)))
}

/** Acknowledges deliveries by hand. */
export function ack (c: Client, ...ids: number[]): void { for (const messageId of ids) c.send({ cmd: 'puback', messageId }) }

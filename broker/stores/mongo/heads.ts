import { EMPTY_HEAD, type Counts, type Head } from '../../domain/entry.js'
import type { ConvKey } from '../../domain/ids.js'
import { type Database } from './database.js'

/** Conversations of one query. */
const MOST = 1000

interface Row { _id: string, s: number, ts: number, n: Counts }

/**
 * Committed heads of conversations, one query for up to 1,000. In exactly this form the server looks at two index keys of
 * each (DISTINCT_SCAN), whatever the length of their logs; and it must be a majority read: a local one has seen entries
 * that a failover took back, and what was appended behind them stood behind a gap.
 */
export async function readHeads (db: Database, convs: readonly ConvKey[]): Promise<Map<ConvKey, Head>> {
  const out = new Map<ConvKey, Head>()
  for (let at = 0; at < convs.length; at += MOST) {
    const rows = await db.log.aggregate<Row>([
      { $match: { c: { $in: convs.slice(at, at + MOST) } } },
      { $sort: { c: -1, s: -1 } },
      { $group: { _id: '$c', s: { $first: '$s' }, ts: { $first: '$ts' }, n: { $first: '$n' } } }
    ], { readConcern: { level: 'majority' } }).toArray()
    for (const r of rows) out.set(r._id as ConvKey, { seq: r.s, ts: r.ts, counts: r.n })
  }
  return out
}

export const headOf = (heads: ReadonlyMap<ConvKey, Head>, conv: ConvKey): Head => heads.get(conv) ?? EMPTY_HEAD

import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'

/** What tells a file that was cut or changed from a whole one. */
export interface Sum { records: number, sha256: string }

const NEWLINE = 10
/** No record is as long; a file without an end of line is not read into memory whole. */
const MAX_LINE_BYTES = 64 << 20
/** Lines given at once. */
const BATCH = 256
const BATCH_BYTES = 1 << 20

/** A file of lines that is being written; for its owner's eyes only. */
export class LinesOut {
  private readonly hash = createHash('sha256')
  private records = 0
  private constructor (private readonly file: FileHandle) {}

  static async create (path: string): Promise<LinesOut> { return new LinesOut(await open(path, 'w', 0o600)) }

  async write (lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return
    const bytes = Buffer.from(`${lines.join('\n')}\n`)
    this.hash.update(bytes)
    this.records += lines.length
    await this.file.appendFile(bytes)
  }

  /** On the disk when it resolves. */
  async end (): Promise<Sum> {
    await this.file.sync()
    return { records: this.records, sha256: this.hash.digest('hex') }
  }

  async close (): Promise<void> { await this.file.close() }
}

/** Counts and sums a file as it stands, without understanding it. */
export async function sumOf (path: string, read: (bytes: number) => void): Promise<Sum> {
  const hash = createHash('sha256')
  let records = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) records++
    read(chunk.length)
  }
  return { records, sha256: hash.digest('hex') }
}

/** The lines of a file, some at a time. @throws Error for one that is too long, or has no end */
export async function * linesOf (path: string): AsyncGenerator<string[]> {
  let rest: Buffer[] = []
  let restBytes = 0
  let batch: string[] = []
  let bytes = 0
  for await (const chunk of createReadStream(path, { highWaterMark: 256 << 10 }) as AsyncIterable<Buffer>) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([...rest, chunk.subarray(start, end)])
      rest = []
      restBytes = 0
      start = end + 1
      batch.push(line.toString())
      bytes += line.length
      if (batch.length < BATCH && bytes < BATCH_BYTES) continue
      yield batch
      batch = []
      bytes = 0
    }
    rest.push(chunk.subarray(start))
    restBytes += chunk.length - start
    if (restBytes > MAX_LINE_BYTES) throw new Error(`${path}: a line of more than ${MAX_LINE_BYTES} bytes`)
  }
  if (restBytes > 0) throw new Error(`${path}: its last line was cut off`)
  if (batch.length > 0) yield batch
}

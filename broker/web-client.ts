import type { Host, WebRequest } from './plugin.js'
import type { Clock } from './ports/clock.js'

/** The URL without its credentials, which fetch refuses, and those as a header. */
function apart (url: string): { url: URL, headers: Record<string, string> } {
  const bare = new URL(url)
  const { username, password } = bare
  bare.username = bare.password = ''
  if (username === '' && password === '') return { url: bare, headers: {} }
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { url: bare, headers: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } }
}

/** The body, or null when it is larger; counted as it is unpacked, so that a small answer cannot become a large one. */
async function readBody (answer: Response, maxBytes: number): Promise<Buffer | null> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += (chunk as Uint8Array).length
    if (bytes > maxBytes) return null // leaving the loop cancels the rest
    chunks.push(chunk as Uint8Array)
  }
  return Buffer.concat(chunks)
}

/** What fetch says is `fetch failed`; what happened stands in its cause. */
function whyOf (e: unknown): string {
  const cause = (e as { cause?: { code?: string, message?: string } } | undefined)?.cause
  return cause?.code ?? cause?.message ?? (e instanceof Error ? e.message : String(e))
}

/** {@link Host.request}, on Node's own fetch: it keeps connections, follows nothing unless told, and can be given up at any byte. */
export function webClient (clock: Clock): Host['request'] {
  return async (address: string, { method = 'GET', headers = {}, body, timeoutMs, maxBytes }: WebRequest) => {
    const giveUp = new AbortController()
    const timer = clock.after(timeoutMs, () => { giveUp.abort(new Error(`no answer within ${timeoutMs} ms`)) })
    try {
      const { url, headers: credentials } = apart(address)
      const answer = await fetch(url, { method, headers: { ...headers, ...credentials }, body, redirect: 'manual', signal: giveUp.signal })
      return { status: answer.status, body: await readBody(answer, maxBytes) }
    } catch (e) {
      throw new Error(whyOf(e), { cause: e })
    } finally {
      timer.cancel()
    }
  }
}

/** The error codes of protocol.md, each with what it means on the wire. */
const CODES = {
  'bad-request': { http: 400, mqtt5: 0x99, final: true },
  unauthenticated: { http: 401, mqtt5: 0x83, final: true },
  forbidden: { http: 403, mqtt5: 0x87, final: true },
  'not-found': { http: 404, mqtt5: 0x83, final: true },
  'not-member': { http: 403, mqtt5: 0x87, final: true },
  blocked: { http: 403, mqtt5: 0x87, final: true },
  banned: { http: 403, mqtt5: 0x87, final: true },
  muted: { http: 403, mqtt5: 0x87, final: true },
  'too-large': { http: 413, mqtt5: 0x97, final: true },
  'rate-limited': { http: 429, mqtt5: 0x83, final: false },
  conflict: { http: 409, mqtt5: 0x83, final: true },
  gone: { http: 410, mqtt5: 0x83, final: true },
  unavailable: { http: 503, mqtt5: 0x83, final: false },
  internal: { http: 500, mqtt5: 0x83, final: true }
} as const

export type ErrorCode = keyof typeof CODES
export const errorCodes = Object.keys(CODES) as ErrorCode[]
/** HTTP status of a code. */
export const httpStatus = (code: ErrorCode): number => CODES[code].http
/** MQTT 5 PUBACK and PUBREC reason of a code [MQTT-3.4.2.1]. */
export const mqttReason = (code: ErrorCode): number => CODES[code].mqtt5

/** Characters of a message; clients take packets of a bounded size. */
const MAX_MESSAGE = 500

/** What a client is told: a code of protocol.md and one sentence on what to do. Never holds a body or a token. */
export class ParleyError extends Error {
  readonly code: ErrorCode
  /** For `rate-limited` and `unavailable`: when to try again, ms. */
  readonly retryAfterMs?: number

  /** @throws TypeError for a code that is none: plugins in JavaScript make errors, too */
  constructor (code: ErrorCode, message: string, opts: { cause?: unknown, retryAfterMs?: number } = {}) {
    super(String(message ?? '').slice(0, MAX_MESSAGE), { cause: opts.cause })
    if (!Object.hasOwn(CODES, code)) throw new TypeError(`${String(code)} is no error code of Parley`)
    this.name = 'ParleyError'
    this.code = code
    this.retryAfterMs = opts.retryAfterMs
  }

  /** False for what is only for now: the caller waits or tries again. */
  get final (): boolean { return CODES[this.code].final }
}

/** What was thrown on purpose: a ParleyError, also one of another copy of this package, which a plugin may have brought along. */
export function thrownOnPurpose (e: unknown): ParleyError | undefined {
  if (e instanceof ParleyError && errorCodes.includes(e.code)) return e
  const { name, code, message, retryAfterMs } = (e ?? {}) as Partial<ParleyError>
  if (name !== 'ParleyError' || code === undefined || !errorCodes.includes(code)) return undefined
  return new ParleyError(code, String(message), { cause: e, retryAfterMs })
}

/** Any thrown value as a ParleyError; what is not one already becomes `internal` and keeps its cause for the log. */
export const asParleyError = (e: unknown): ParleyError =>
  thrownOnPurpose(e) ?? new ParleyError('internal', 'the broker failed to do this; its log says why', { cause: e })

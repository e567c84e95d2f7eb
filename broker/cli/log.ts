import { pino, type Logger } from 'pino'
import type { Config } from '../config/schema.js'

// Whatever is logged under these names, up to two levels down, never reaches the log: a body or a token there outlives the message.
const secretNames = ['password', 'token', 'payload', 'body', 'authorization', 'secret', 'ticket', 'adminKey']
const redacted = secretNames.flatMap((name) => [name, `*.${name}`, `*.*.${name}`])

/** The node's log: JSON lines on standard output, written before the call returns so that a killed process leaves its last line. */
export const createLog = (level: Config['log']['level'], destination: { write: (line: string) => void } = pino.destination({ fd: 1, sync: true })): Logger => pino({
  level,
  base: { pid: process.pid },
  timestamp: pino.stdTimeFunctions.isoTime,
  formatters: { level: (label) => ({ level: label }) },
  redact: { paths: redacted, censor: '[hidden]' },
}, destination)

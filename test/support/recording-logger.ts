import type { Logger } from '../../broker/ports/logger.js'

type Level = keyof Logger
export interface LogLine { level: Level, message: string, [field: string]: unknown }

/** A logger that keeps its lines. */
export function recordingLogger (): Logger & { lines: LogLine[] } {
  const lines: LogLine[] = []
  const at = (level: Level) => (fields: object, message: string): void => { lines.push({ ...fields, level, message }) }
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

import { UsageError } from './command.js'

const seconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `90s`, `15m`, `1h`, `30d`, or plain seconds, as whole seconds from 1 to 100 years. @throws UsageError */
export function parseDuration (text: string, option: string): number {
  const match = /^(\d{1,10})([smhd]?)$/.exec(text)
  const value = match === null ? 0 : Number(match[1]) * (seconds[match[2] || 's'] ?? 1)
  if (value < 1 || value > 100 * 366 * 86_400) throw new UsageError(`${option}: ${JSON.stringify(text)} is no time span; write 90s, 15m, 1h or 30d`)
  return value
}

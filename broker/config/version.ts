import { readFileSync } from 'node:fs'

/** The version in package.json: found upwards, because the sources are two folders below it and the build three. */
export function version (): string {
  for (const up of ['../../', '../../../']) {
    try {
      const { name, version: found } = JSON.parse(readFileSync(new URL(`${up}package.json`, import.meta.url), 'utf8')) as { name?: string, version?: string }
      if (name === 'parley' && found !== undefined) return found
    } catch { /* not in this folder */ }
  }
  return 'unknown'
}

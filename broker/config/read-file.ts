import { readFileSync } from 'node:fs'
import { isAlias, isMap, isScalar, isSeq, type LineCounter, type ParsedNode } from 'yaml'
import { readYaml } from '../domain/yaml-text.js'
import { showPath, type Path, type Problem } from './problem.js'

/** What a configuration file says, before it is checked against the schema. */
export interface FileContent {
  value: unknown
  /** Line of each key, by dotted path. */
  lines: Map<string, number>
  problems: Problem[]
}

const maxBytes = 1_048_576

const errnoSentence: Record<string, string> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'may not be read by this user',
  EPERM: 'may not be read by this user',
  EISDIR: 'is a folder, not a file',
}

/** Why a file could not be read, in words that hold nothing of its name or content. */
export const whyUnreadable = (error: unknown): string =>
  errnoSentence[(error as NodeJS.ErrnoException).code ?? ''] ?? `cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown reason'})`

/** Reads a YAML or JSON file; `name` is how problems call it. Never throws. */
export function readConfigFile (file: string, name: string): FileContent {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    return failed(name, whyUnreadable(error))
  }
  if (bytes.length > maxBytes) return failed(name, `is larger than ${maxBytes} bytes`)
  try {
    return parseText(new TextDecoder('utf-8', { fatal: true }).decode(bytes), name)
  } catch (error) {
    return failed(name, error instanceof TypeError ? 'is not UTF-8 text' : `cannot be parsed: ${(error as Error).message}`)
  }
}

const failed = (name: string, message: string): FileContent =>
  ({ value: undefined, lines: new Map(), problems: [{ path: name, message, source: { from: 'file', name } }] })

function parseText (text: string, name: string): FileContent {
  const { value, contents, counter, mistakes } = readYaml(text)
  if (mistakes.length > 0) {
    const source = { from: 'file' as const, name }
    return { value: undefined, lines: new Map(), problems: mistakes.map((mistake) => ({ path: name, source, ...mistake })) }
  }
  const lines = new Map<string, number>()
  noteLines(contents, [], counter, lines)
  return { value, lines, problems: [] }
}

function noteLines (node: ParsedNode | null, path: Path, counter: LineCounter, lines: Map<string, number>): void {
  if (node === null || isAlias(node)) return
  if (isSeq(node)) {
    node.items.forEach((item, i) => {
      const child = item as ParsedNode
      lines.set(showPath([...path, i]), counter.linePos(child.range[0]).line)
      noteLines(child, [...path, i], counter, lines)
    })
  } else if (isMap(node)) {
    for (const pair of node.items) {
      const key = pair.key as ParsedNode
      if (!isScalar(key)) continue
      const at = [...path, String(key.value)]
      lines.set(showPath(at), counter.linePos(key.range[0]).line)
      noteLines(pair.value as ParsedNode | null, at, counter, lines)
    }
  }
}

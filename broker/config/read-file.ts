import { readFileSync } from 'node:fs'
import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseDocument, Parser, type ParsedNode } from 'yaml'
import { showPath, type Path, type Problem } from './problem.js'

/** What a configuration file says, before it is checked against the schema. */
export interface FileContent {
  value: unknown
  /** Line of each key, by dotted path. */
  lines: Map<string, number>
  problems: Problem[]
}

const maxBytes = 1_048_576
const maxDepth = 64

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

const failed = (name: string, message: string, line?: number): FileContent =>
  ({ value: undefined, lines: new Map(), problems: [{ path: name, message, source: { from: 'file', name }, ...(line === undefined ? {} : { line }) }] })

// JSON is YAML 1.2, so one parser reads both, and both get line numbers and the duplicate-key check that JSON.parse lacks.
function parseText (text: string, name: string): FileContent {
  const tooDeepAt = deepLine(text)
  if (tooDeepAt !== undefined) return failed(name, `is nested more than ${maxDepth} levels deep`, tooDeepAt)
  const counter = new LineCounter()
  // prettyErrors off: they quote the file, and with it its secrets.
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, logLevel: 'error', stringKeys: true })
  const mistakes = [...document.errors, ...document.warnings]
  if (mistakes.length > 0) {
    const source = { from: 'file' as const, name }
    return {
      value: undefined, lines: new Map(),
      problems: mistakes.slice(0, 20).map((mistake) => ({
        path: name, source, line: counter.linePos(mistake.pos[0]).line,
        message: mistake.code === 'DUPLICATE_KEY' ? 'the same key stands here twice' : mistake.message.replace(/\s+/g, ' ').slice(0, 200),
      })),
    }
  }
  const lines = new Map<string, number>()
  noteLines(document.contents, [], counter, lines)
  try {
    // A few aliases are fine; a bomb of nested ones is refused by the limit.
    const value: unknown = document.toJS({ maxAliasCount: 100 })
    return isTooBig(value) ? failed(name, 'holds an anchor that contains itself, or too many values') : { value, lines, problems: [] }
  } catch (error) {
    return failed(name, /alias count/i.test((error as Error).message) ? 'repeats anchors too often' : (error as Error).message.slice(0, 200))
  }
}

// The composer recurses: measured, 5,000 brackets end the process inside V8's RegExp compiler before any error can be caught.
// Lexer and parser keep their own stack, so they can be asked first.
function deepLine (text: string): number | undefined {
  const parser = new Parser()
  let line = 1
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme)) { /* only the depth is wanted */ }
    if (parser.stack.length > maxDepth) return line
    for (const letter of lexeme) if (letter === '\n') line++
  }
  return undefined
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

/** Whether a parsed value is deeper or larger than any configuration, or contains itself; walks without recursion. */
export function isTooBig (value: unknown): boolean {
  const open: { value: unknown, depth: number }[] = [{ value, depth: 0 }]
  for (let seen = 0; open.length > 0; seen++) {
    const { value: current, depth } = open.pop() as { value: unknown, depth: number }
    if (depth > maxDepth || seen > 500_000) return true
    if (typeof current === 'object' && current !== null) for (const child of Object.values(current)) open.push({ value: child, depth: depth + 1 })
  }
  return false
}

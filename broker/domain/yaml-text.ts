import { Lexer, LineCounter, parseDocument, Parser, type ParsedNode } from 'yaml'

const maxDepth = 64
const maxMistakes = 20

/** What a text in YAML says; `value` may be used when there are no mistakes. No message quotes the text: it may hold secrets. */
export interface YamlText {
  value: unknown
  contents: ParsedNode | null
  counter: LineCounter
  mistakes: { message: string, line?: number }[]
}

/**
 * Reads YAML 1.2, of which JSON is a part: one parser for both gives both line numbers and the duplicate-key check that
 * JSON.parse lacks. Never throws, and no nesting or repetition of anchors can exhaust it.
 */
export function readYaml (text: string): YamlText {
  const counter = new LineCounter()
  const bad = (...mistakes: YamlText['mistakes']): YamlText => ({ value: undefined, contents: null, counter, mistakes })
  const tooDeepAt = deepLine(text)
  if (tooDeepAt !== undefined) return bad({ message: `is nested more than ${maxDepth} levels deep`, line: tooDeepAt })
  // prettyErrors off: they quote the file, and with it its secrets.
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false, logLevel: 'error', stringKeys: true })
  const mistakes = [...document.errors, ...document.warnings]
  if (mistakes.length > 0) {
    return bad(...mistakes.slice(0, maxMistakes).map((mistake) => ({
      line: counter.linePos(mistake.pos[0]).line,
      message: mistake.code === 'DUPLICATE_KEY' ? 'the same key stands here twice' : mistake.message.replace(/\s+/g, ' ').slice(0, 200),
    })))
  }
  try {
    // A few aliases are fine; a bomb of nested ones is refused by the limit.
    const value: unknown = document.toJS({ maxAliasCount: 100 })
    return isTooBig(value) ? bad({ message: 'holds an anchor that contains itself, or too many values' }) : { value, contents: document.contents, counter, mistakes: [] }
  } catch (error) {
    return bad({ message: /alias count/i.test((error as Error).message) ? 'repeats anchors too often' : (error as Error).message.slice(0, 200) })
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

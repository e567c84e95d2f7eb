// docs/clients.md shows pieces of the programs here: `node test/interop/snippets.mjs` writes them into the page.
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = new URL('../../', import.meta.url)
const PAGE = new URL('docs/clients.md', ROOT)
const REGION = /^.*\bdocs: (?!end\b)([\w-]+)$\n([\s\S]*?)^.*\bdocs: end$/gm
const SHOWN = /^(<!-- (\S+): ([\w-]+) -->\n```\w+\n)[\s\S]*?^```$/gm

/** The named pieces of a program: what stands between `docs: NAME` and `docs: end`, without the common indentation. */
export function pieces (file) {
  const text = readFileSync(new URL(file, ROOT), 'utf8')
  return new Map([...text.matchAll(REGION)].map(([, name, piece]) => {
    const indents = piece.split('\n').filter(line => line.trim() !== '').map(line => /^\s*/.exec(line)[0].length)
    const indent = Math.min(...indents)
    return [name, piece.split('\n').map(line => line.slice(indent)).join('\n').trimEnd()]
  }))
}

/** The page with each piece as it stands in its program now. A piece that no program has throws. */
export function filled (page) {
  return page.replace(SHOWN, (_all, head, file, name) => {
    const piece = pieces(file).get(name)
    if (piece === undefined) throw new Error(`docs/clients.md shows "${name}" of ${file}, where nothing is called so`)
    return `${head}${piece}\n\`\`\``
  })
}

/** Which pieces the page shows, as `FILE: NAME`. */
export function shown (page) { return [...page.matchAll(SHOWN)].map(([, , file, name]) => `${file}: ${name}`) }

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  writeFileSync(PAGE, filled(readFileSync(PAGE, 'utf8')))
}

import { createRequire } from 'node:module'
import { readdir, readFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { meant } from './config/nearest.js'
import * as api from './plugin.js'

const isPath = (use: string): boolean => use.startsWith('.') || isAbsolute(use)
const codeOf = (e: unknown): unknown => (e as { code?: unknown } | undefined)?.code

/** The file that an `exports` entry of a package.json names for `import`; undefined: none. */
function target (entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry
  if (Array.isArray(entry)) return entry.map(target).find(t => t !== undefined)
  if (typeof entry !== 'object' || entry === null) return undefined
  for (const [condition, inner] of Object.entries(entry)) {
    if (!['.', 'import', 'node', 'default'].includes(condition)) continue
    const found = target(inner)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * The file that a package has for `import`; undefined: it is not there, or has no `exports`. Node offers no lookup of
 * ES modules from another folder than one's own, and its lookup for `require` finds the wrong file or none.
 */
async function importedFile (name: string, fromDir: string): Promise<string | undefined> {
  for (let dir = fromDir; ; dir = dirname(dir)) {
    const root = join(dir, 'node_modules', name)
    try {
      const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { exports?: unknown }
      const file = target(exports)
      return file === undefined ? undefined : join(root, file)
    } catch (e) { if (codeOf(e) !== 'ENOENT' && codeOf(e) !== 'ENOTDIR') throw e }
    if (dirname(dir) === dir) return undefined
  }
}

/** The file that `require` finds; undefined: none. Knows folders, `main` and files without their ending. */
function requiredFile (use: string, fromDir: string): string | undefined {
  try {
    const file = createRequire(join(fromDir, 'here.js')).resolve(use)
    return isAbsolute(file) ? file : undefined // `fs` and the like
  } catch { return undefined }
}

/** What a folder holds; nothing when it is not there. */
const namesIn = async (dir: string): Promise<string[]> => await readdir(dir).catch(() => [])

/** Names of the packages that are installed in a folder. */
async function packagesIn (dir: string): Promise<string[]> {
  const names = await namesIn(join(dir, 'node_modules'))
  const ofScope = async (scope: string): Promise<string[]> => (await namesIn(join(dir, 'node_modules', scope))).map(name => `${scope}/${name}`)
  return (await Promise.all(names.map(async name => name.startsWith('@') ? await ofScope(name) : [name]))).flat()
}

async function fileOf (use: string, baseDir: string): Promise<string> {
  if (isPath(use)) {
    const file = requiredFile(use, baseDir)
    if (file !== undefined) return file
    const path = resolve(baseDir, use)
    throw new Error(`there is no file ${path}${meant(basename(path), await namesIn(dirname(path)))}`)
  }
  // Beside the configuration, or installed beside Parley itself (npm install -g).
  for (const dir of [baseDir, dirname(fileURLToPath(import.meta.url))]) {
    const file = await importedFile(use, dir) ?? requiredFile(use, dir)
    if (file !== undefined) return file
  }
  const beside = requiredFile(`./${use}`, baseDir) === undefined ? meant(use, await packagesIn(baseDir)) : `; did you mean ./${use}?`
  throw new Error(`no package ${use} is installed in ${baseDir}${beside === '' ? '; a path begins with ./' : beside}`)
}

/** What went wrong while a file was imported, with the line in it where there is one. */
function said (e: unknown, file: string): string {
  if (!(e instanceof Error)) return String(e)
  const line = /^:(\d+)/.exec(e.stack?.split(file)[1] ?? '')?.[1]
  return `${e.name}: ${e.message}${line === undefined ? '' : ` (line ${line})`}`
}

/**
 * The default export of a plugin's file, whatever it is. Where that is a function, it is called with all that
 * `parley/plugin` exports, and gives the plugin: so a file that lies where no package is installed needs no import.
 * @param use a path, relative to `baseDir`, or a package name
 * @throws Error in words for an operator
 */
export async function importPlugin (use: string, baseDir: string): Promise<unknown> {
  const file = await fileOf(use, baseDir)
  let module: { default?: unknown }
  try {
    module = await import(pathToFileURL(file).href) as { default?: unknown }
  } catch (e) { throw new Error(`${file} cannot be imported: ${said(e, file)}`, { cause: e }) }
  let plugin = module.default
  // What a compiler made of `export default` for CommonJS.
  if (typeof plugin === 'object' && plugin !== null && '__esModule' in plugin && 'default' in plugin) plugin = plugin.default
  if (plugin === undefined) throw new Error(`${file} has no default export; write: export default definePlugin({…})`)
  if (typeof plugin !== 'function') return plugin
  try {
    return await (plugin as (parley: typeof api) => unknown)(api)
  } catch (e) { throw new Error(`the function that ${file} exports failed: ${said(e, file)}`, { cause: e }) }
}

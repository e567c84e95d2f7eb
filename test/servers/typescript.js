// node --import of this file runs TypeScript as it stands, where the tests' files are wanted outside of jest.
import { readFileSync } from 'node:fs'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import { transformSync } from '@swc/core'

// Hooks run on a thread of their own, which loads this file again.
if (isMainThread) register(import.meta.url)

/** As TypeScript's own resolution has it, `./x.js` stands for `./x.ts`. */
export async function resolve (specifier, context, next) {
  if (!specifier.startsWith('.') || !specifier.endsWith('.js')) return await next(specifier, context)
  try { return await next(`${specifier.slice(0, -3)}.ts`, context) } catch { return await next(specifier, context) }
}

export async function load (url, context, next) {
  if (!url.endsWith('.ts')) return await next(url, context)
  const path = fileURLToPath(url)
  const { code } = transformSync(readFileSync(path, 'utf8'), {
    filename: path, sourceMaps: 'inline', jsc: { parser: { syntax: 'typescript' }, target: 'es2022' }, module: { type: 'es6' }
  })
  return { format: 'module', source: code, shortCircuit: true }
}

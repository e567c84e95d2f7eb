// On what a figure was measured.
import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, openSync, readdirSync, lstatSync, writeSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { removeFolder, temporaryFolder } from './children.mjs'
import { median } from './measure.mjs'

/** Median time of an fdatasync of 4 KiB on the disk that the stores lie on: every acknowledged message waits for one. */
function fsyncMs (times = 60) {
  const folder = temporaryFolder('fsync')
  const file = openSync(path.join(folder, 'file'), 'w')
  const block = Buffer.alloc(4096, 1)
  const took = Array.from({ length: times }, (_, i) => {
    writeSync(file, block, 0, block.length, i * block.length)
    const began = performance.now()
    fdatasyncSync(file)
    return performance.now() - began
  })
  closeSync(file)
  removeFolder(folder)
  return +median(took).toFixed(2)
}

export const machine = () => ({
  cpu: os.cpus()[0]?.model.trim() ?? 'unknown',
  cores: os.availableParallelism(),
  memoryGb: Math.round(os.totalmem() / 2 ** 30),
  kernel: `${os.type()} ${os.release()}`,
  node: process.version,
  fsyncMs: fsyncMs(),
})

/** Short hash of what is checked out in `folder`, with a + when files differ from it; null outside of git. */
export function commit (folder) {
  const git = (...args) => execFileSync('git', ['-C', folder, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    // The results themselves change with every run.
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '--', '.', ':!bench/RESULTS.md', ':!bench/results.json') === '' ? '' : '+')
  } catch {
    return null
  }
}

/** What a folder occupies on the disk, bytes: a store's file may have holes. */
export function occupiedBytes (folder) {
  return readdirSync(folder, { recursive: true }).reduce((sum, name) => sum + lstatSync(path.join(folder, name)).blocks * 512, 0)
}

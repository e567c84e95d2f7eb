import { run } from './cli/run.js'

// exit, not exitCode: whatever a node left behind may not keep a stopped process alive.
process.exit(await run(process.argv.slice(2)))

import { setFlagsFromString } from 'node:v8'
import { run } from './cli/run.js'

// In a burst (a thousand clients connect, all publish) what a message allocates lives long enough that V8 puts such
// objects into the old generation from then on, for good, and what they refer to follows them: 6 MB/s of garbage at
// 2,000 msg/s that only a major collection frees, against 1.
setFlagsFromString('--no-allocation-site-pretenuring')

// exit, not exitCode: whatever a node left behind may not keep a stopped process alive.
process.exit(await run(process.argv.slice(2)))

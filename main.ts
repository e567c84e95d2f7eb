#!/usr/bin/env node
// The command `parley` is dist/main.js; the command line itself is broker/main.ts.
import './broker/main.js'

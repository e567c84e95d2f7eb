// Our sources import './x.js' (what NodeNext wants), while the file on disk is x.ts.
// A moduleNameMapper cannot tell our files from a package's, and would rewrite the
// relative imports inside node_modules as well; a resolver knows who asks.
const { existsSync } = require('node:fs')
const { resolve } = require('node:path')

module.exports = (request, options) => {
  if (/^\.{1,2}\//.test(request) && request.endsWith('.js') && !options.basedir.includes('node_modules')) {
    const source = resolve(options.basedir, request.slice(0, -3) + '.ts')
    if (existsSync(source)) return source
  }
  return options.defaultResolver(request, options)
}

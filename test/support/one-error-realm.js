import { types } from 'node:util'

// Each test file has globals of its own, so an error raised by Node (fs, net, Buffer)
// is no instance of the file's `Error`, and `err instanceof Error` in the code under
// test would answer otherwise than in production. Here it answers the same.
const ordinary = Function.prototype[Symbol.hasInstance]
const builtIn = new Set([Error, TypeError, RangeError, SyntaxError])

Object.defineProperty(Error, Symbol.hasInstance, {
  value(candidate) {
    if (ordinary.call(this, candidate)) return true
    // A subclass inherits this method: only the built-in classes are widened.
    if (!builtIn.has(this) || !types.isNativeError(candidate)) return false
    if (this === Error) return true
    for (let p = Object.getPrototypeOf(candidate); p; p = Object.getPrototypeOf(p)) {
      if (p.constructor?.name === this.name) return true
    }
    return false
  },
})

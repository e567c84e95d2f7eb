/**
 * Prints `N passed, N failed`, alone on a line, as the very last thing jest says.
 * A suite that could not run (does not compile, threw while loading) counts as one failure.
 */
export default class ClosingLineReporter {
  #passed = 0
  #failed = 0

  constructor() {
    // At exit rather than in onRunComplete: jest has more to say after that
    // (its summary, open handles), and this line stays the last one.
    process.once('exit', (code) => {
      // Whatever else made jest fail (a global teardown, no tests at all) is one failure too.
      if (code !== 0 && this.#failed === 0) this.#failed = 1
      if (this.#failed > 0 && code === 0) process.exitCode = 1
      process.stdout.write(`\n${this.#passed} passed, ${this.#failed} failed\n`)
    })
  }

  onRunComplete(_contexts, results) {
    this.#passed = results.numPassedTests
    this.#failed = results.numFailedTests + results.numRuntimeErrorTestSuites
  }
}

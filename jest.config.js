/** @type {import('jest').Config} */
export default {
  // The folders say what a test is: `npm test -- test/unit` runs one kind.
  roots: ['<rootDir>/test'],
  // Of the stock clients those that npm and PyPI have; `make interop` runs all. `make chart` runs test/deploy/chart, which needs helm.
  testMatch: ['<rootDir>/test/{unit,contract,integration,cluster,conformance,faults,fuzz,interop/mqttjs,interop/paho-python}/**/*.test.ts', '<rootDir>/test/deploy/*.test.ts'],
  testEnvironment: 'node',
  // A database or socket that a finished file left open still reads its globals
  // (performance.now and the like); jest would warn in the middle of the next file's run.
  testEnvironmentOptions: { globalsCleanup: 'off' },
  // ESM all the way, as in production: needs node --experimental-vm-modules (see the Makefile).
  extensionsToTreatAsEsm: ['.ts'],
  resolver: '<rootDir>/test/support/resolver.cjs',
  transform: {
    '\\.ts$': ['@swc/jest', {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'es6' },
      sourceMaps: 'inline',
    }],
  },
  globalSetup: '<rootDir>/test/servers/global-setup.js',
  globalTeardown: '<rootDir>/test/servers/global-teardown.js',
  setupFiles: ['<rootDir>/test/support/one-error-realm.js'],
  testTimeout: 30_000,
  // Always workers, even with one core: a native crash then fails its suite and not the run,
  // and what the module registry of many files holds is given back.
  workerIdleMemoryLimit: '1GB',
  reporters: ['default', '<rootDir>/test/support/closing-line-reporter.js'],
}

import { defineConfig } from 'vitest/config'

const resolve = { conditions: ['@fp/source'] }
const ssr = { resolve: { conditions: ['@fp/source'], externalConditions: ['@fp/source'] } }

/** A loaded machine may be slow; nothing is asserted about time, so waiting costs only where something is wrong. */
const patient = { testTimeout: 60_000, hookTimeout: 120_000, expect: { poll: { timeout: 20_000 } } }

/** CI tries what depends on a whole machine once more, and names what passed only then. */
const retry = process.env['CI'] ? 1 : 0

/** Vitest leaves one processor out, which on a machine with two is half of it. */
const parallel = { ...patient, maxWorkers: '100%' }

/**
 * unit: no process, no network. console: what the console does without a browser's window. process: real processes, nothing else.
 * integration: real MongoDB, real Python. e2e: the whole product, real browser. cluster: a real Kubernetes.
 */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: 'unit',
          include: ['{scaler,sdk,platform,scripts}/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/*.{integration,process,cluster}.test.ts'],
          ...parallel,
        },
      },
      'console/vitest.config.ts',
      {
        resolve,
        ssr,
        test: {
          name: 'process',
          include: ['{scaler,examples,scripts}/**/*.process.test.ts'],
          ...parallel,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'integration',
          include: ['{scaler,sdk,platform}/**/*.integration.test.ts'],
          ...parallel,
          globalSetup: ['platform/test/mongod.global.ts'],
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/*.cluster.test.ts'],
          ...patient,
          testTimeout: 180_000,
          hookTimeout: 240_000,
          fileParallelism: false,
          retry,
          globalSetup: ['e2e/harness/build.global.ts'],
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'cluster',
          include: ['{scaler,platform,e2e}/**/*.cluster.test.ts'],
          ...patient,
          testTimeout: 240_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          retry,
          globalSetup: ['platform/test/mongod.global.ts', 'e2e/harness/cluster.global.ts'],
        },
      },
    ],
  },
})

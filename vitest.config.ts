import { defineConfig } from 'vitest/config'

const resolve = { conditions: ['@fp/source'] }
const ssr = { resolve: { conditions: ['@fp/source'], externalConditions: ['@fp/source'] } }

/**
 * unit: no process, no network. process: real processes, nothing else. integration: real MongoDB, real Python.
 * e2e: the whole product, real browser. cluster: a real Kubernetes.
 */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: 'unit',
          include: ['{scaler,sdk,platform,console}/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/*.{integration,process,cluster}.test.ts'],
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'process',
          include: ['{scaler,examples}/**/*.process.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'integration',
          include: ['{scaler,sdk,platform}/**/*.integration.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 120_000,
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
          testTimeout: 180_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'cluster',
          include: ['{scaler,platform,e2e}/**/*.cluster.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          globalSetup: ['platform/test/mongod.global.ts', 'e2e/harness/cluster.global.ts'],
        },
      },
    ],
  },
})

import { defineConfig } from 'vitest/config'

/** The short walks of the chaos test take twice as long as all other tests together. */
const CHAOS = process.env['MUTATION_CHAOS'] ? ['scaler/test/chaos/*.test.ts'] : []

/** The tests that decide about mutants: those of the core. */
export default defineConfig({
  resolve: { conditions: ['@fp/source'] },
  ssr: { resolve: { conditions: ['@fp/source'], externalConditions: ['@fp/source'] } },
  test: {
    include: [
      'scaler/src/{,coordination/}*.test.ts',
      'scaler/test/contract/{fake,memory-coordination}.test.ts',
      ...CHAOS,
    ],
    env: { CHAOS_RUNS: '0' },
    // Many mutants make a promise that never settles.
    testTimeout: 2_000,
    // Twice as fast; no module of the core keeps state of its own.
    isolate: false,
  },
})

import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The short walks of the chaos test take twice as long as all other tests together. */
const CHAOS = process.env['MUTATION_CHAOS'] ? ['scaler/test/chaos/*.test.ts'] : []
/** Tests of whole activators. The tests of a single file come before them, because most mutants end at those. */
const SLOW =
  /(coordination|unavailable|dead-endpoints|stored-ledger|target|rules|keep-warm|scale-out|chaos)\.test\.ts$/

class QuickFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return files.toSorted((a, b) => Number(SLOW.test(a.moduleId)) - Number(SLOW.test(b.moduleId)))
  }
}

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
    sequence: { sequencer: QuickFirst },
    // Many mutants make a promise that never settles.
    testTimeout: 2_000,
    // Twice as fast; no module of the core keeps state of its own.
    isolate: false,
  },
})

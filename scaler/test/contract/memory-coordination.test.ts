import * as vitest from 'vitest'
import { createMemoryCoordination } from '../../src/coordination/memory.ts'
import { describeCoordinationContract, type CoordinationUnderTest } from '../../src/contract/index.ts'

const start = (): Promise<CoordinationUnderTest> => {
  const both = createMemoryCoordination()
  return Promise.resolve({ one: both, two: both, [Symbol.asyncDispose]: () => Promise.resolve() })
}

describeCoordinationContract('memory', { start }, vitest)

import { createMemoryCoordination } from '../../src/coordination/memory.ts'
import { describeCoordinationContract } from './coordination-contract.ts'

describeCoordinationContract('memory', () => {
  const both = createMemoryCoordination()
  return Promise.resolve({ one: both, two: both, [Symbol.asyncDispose]: () => Promise.resolve() })
})

import { createBounds } from '../src/front/bounds.ts'
import { createApiRates } from '../src/front/rates.ts'

const trusts = (): boolean => false

/** A front door without limits, for tests of other things. */
export const UNBOUNDED = createBounds({
  limits: { connections: 10_000, perAddress: 0, perApp: 0 },
  rates: createApiRates({ perSecond: 0, trusts }),
  trusts,
})

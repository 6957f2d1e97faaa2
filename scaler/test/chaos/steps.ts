import fc from 'fast-check'
import type { Direction } from '../../src/drivers/fake/coordination.ts'

export const MEMBERS = 3
export const APPS = 3

/** What can happen, as plain data: a failure that was shrunk is kept as it was printed. */
export type Step =
  | { readonly do: 'ask'; readonly member: number; readonly app: number; readonly bytes: number }
  | { readonly do: 'release' | 'abort'; readonly nth: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'sleep' | 'deploy'; readonly member: number; readonly app: number }
  | { readonly do: 'crash' | 'vanish'; readonly app: number }
  | { readonly do: 'cut'; readonly member: number; readonly directions?: readonly Direction[] }
  | { readonly do: 'heal' | 'stall' | 'die'; readonly member: number }
  | { readonly do: 'timeout' | 'reset'; readonly nth: number }
  | { readonly do: 'hanging'; readonly on: boolean }
  | { readonly do: 'lose'; readonly member: number; readonly answers: number }
  | { readonly do: 'scale'; readonly app: number; readonly max: number; readonly min: number }
  | {
      readonly do: 'delays'
      readonly acceptance: number
      readonly start: number
      readonly news: number
      readonly store: number
    }
  | { readonly do: 'failing' | 'refusing'; readonly on: boolean }

const record = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>
const member = fc.nat(MEMBERS - 1)
const app = fc.nat(APPS - 1)
/** Its writes do not arrive but it hears of changes, its writes arrive but it hears nothing, or it misses only notifications. */
const directions = fc.constantFrom<readonly Direction[]>(
  ['writes'],
  ['answers', 'notifications'],
  ['answers'],
  ['notifications'],
)
const nth = fc.nat(30)
const just = <T extends string>(name: T): fc.Arbitrary<T> => fc.constant(name)

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: record({ do: just('ask'), member, app, bytes: fc.nat(200) }) },
  { weight: 18, arbitrary: record({ do: just('release'), nth }) },
  { weight: 4, arbitrary: record({ do: just('abort'), nth }) },
  { weight: 8, arbitrary: record({ do: just('advance'), ms: fc.nat(800) }) },
  { weight: 8, arbitrary: record({ do: just('advance'), ms: fc.integer({ min: 1_000, max: 40_000 }) }) },
  { weight: 5, arbitrary: record({ do: just('sleep'), member, app }) },
  { weight: 3, arbitrary: record({ do: just('deploy'), member, app }) },
  { weight: 5, arbitrary: record({ do: just('crash'), app }) },
  { weight: 3, arbitrary: record({ do: just('vanish'), app }) },
  { weight: 3, arbitrary: record({ do: just('cut'), member }) },
  { weight: 3, arbitrary: record({ do: just('cut'), member, directions }) },
  { weight: 3, arbitrary: record({ do: just('stall'), member }) },
  { weight: 1, arbitrary: record({ do: just('die'), member }) },
  { weight: 8, arbitrary: record({ do: just('heal'), member }) },
  { weight: 2, arbitrary: record({ do: just('timeout'), nth }) },
  { weight: 3, arbitrary: record({ do: just('reset'), nth }) },
  { weight: 1, arbitrary: record({ do: just('hanging'), on: fc.boolean() }) },
  { weight: 2, arbitrary: record({ do: just('lose'), member, answers: fc.integer({ min: 1, max: 2 }) }) },
  {
    weight: 3,
    arbitrary: record({ do: just('scale'), app, max: fc.integer({ min: 1, max: 4 }), min: fc.nat(1) }),
  },
  {
    weight: 4,
    arbitrary: record({
      do: just('delays'),
      acceptance: fc.nat(500),
      start: fc.nat(3_000),
      news: fc.nat(1_000),
      store: fc.nat(300),
    }),
  },
  { weight: 2, arbitrary: record({ do: just('failing'), on: fc.boolean() }) },
  { weight: 2, arbitrary: record({ do: just('refusing'), on: fc.boolean() }) },
)

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import type { Coordination, Shared } from '../../src/coordination/types.ts'

/** Two connections to one store, as two activators have them. */
export interface CoordinationUnderTest extends AsyncDisposable {
  readonly one: Coordination
  readonly two: Coordination
}

type Count = { readonly n: number }

/** The notifications of some keys that one watcher has received. */
interface Heard extends AsyncDisposable {
  of(key: string): (Shared | undefined)[]
}

/** The requirements for every implementation of `Coordination`. To test your own, copy this file; it only needs vitest. */
export function describeCoordinationContract(
  name: string,
  start: () => Promise<CoordinationUnderTest>,
): void {
  describe(`the coordination contract: ${name}`, () => {
    let under: CoordinationUnderTest
    let one: Coordination
    let two: Coordination
    let keys = 0

    beforeAll(async () => {
      under = await start()
      one = under.one
      two = under.two
    })
    afterAll(async () => under[Symbol.asyncDispose]())

    const { signal } = new AbortController()
    const newKey = (): string => `target/app.${++keys}.$0`
    const put = <T extends Shared>(
      at: Coordination,
      key: string,
      value: T | undefined,
    ): Promise<T | undefined> => at.update<T>(key, () => value, { signal })
    const read = <T extends Shared>(at: Coordination, key: string): Promise<T | undefined> =>
      at.update<T>(key, (now) => now, { signal })
    const add = (at: Coordination, key: string): Promise<Count | undefined> =>
      at.update<Count>(key, (now) => ({ n: (now?.n ?? 0) + 1 }), { signal })

    async function listen(at: Coordination): Promise<Heard> {
      const heard = new Map<string, (Shared | undefined)[]>()
      const watch = await at.watch((key, value) => {
        heard.set(key, [...(heard.get(key) ?? []), value])
      })
      return {
        of: (key) => heard.get(key) ?? [],
        [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
      }
    }

    describe('a document', () => {
      test('is created, replaced and removed, and both connections see it', async () => {
        const key = newKey()
        expect(await read(one, key)).toBeUndefined()
        expect(await put(one, key, { n: 1 })).toEqual({ n: 1 })
        expect(await read(two, key)).toEqual({ n: 1 })
        expect(await put(two, key, { n: 2 })).toEqual({ n: 2 })
        expect(await read(one, key)).toEqual({ n: 2 })
        expect(await put(one, key, undefined)).toBeUndefined()
        expect(await read(two, key)).toBeUndefined()
      })

      test('is returned unchanged, whatever its field names', async () => {
        const key = newKey()
        const value = {
          shares: { 'a.b': { places: { '10.0.0.1:80': 2, $set: 1, __proto__x: 0 } } },
          none: null,
          text: '$now "ü\u2028"',
          list: [],
        }
        await put(one, key, value)
        expect(await read(two, key)).toEqual(value)
      })

      test('is independent for each key', async () => {
        const [a, b] = [newKey(), newKey()]
        await Promise.all([put(one, a, { n: 1 }), put(two, b, { n: 2 })])
        expect(await Promise.all([read(two, a), read(one, b)])).toEqual([{ n: 1 }, { n: 2 }])
      })
    })

    describe('an update', () => {
      test('is computed from the current document', async () => {
        const key = newKey()
        await put(one, key, { n: 1 })
        await put(two, key, { n: 5 })
        expect(await add(one, key)).toEqual({ n: 6 })
      })

      test('is never lost, however many run at once', async () => {
        const key = newKey()
        await Promise.all(Array.from({ length: 40 }, (_, index) => add(index % 2 === 0 ? one : two, key)))
        expect(await read(one, key)).toEqual({ n: 40 })
      })

      test('that creates the document creates it once if two run at once', async () => {
        for (let round = 0; round < 10; round++) {
          const key = newKey()
          const take = (at: Coordination, by: string): Promise<{ by: string } | undefined> =>
            at.update<{ by: string }>(key, (now) => now ?? { by }, { signal })
          const [first, second] = await Promise.all([take(one, 'one'), take(two, 'two')])
          expect(first).toEqual(second)
        }
      })

      test('is repeated if the document was removed and created again with the same content', async () => {
        const key = newKey()
        await put(one, key, { n: 1 })
        await put(two, key, undefined)
        await put(two, key, { n: 1 })
        const saw: (Count | undefined)[] = []
        const result = await one.update<Count>(
          key,
          (now) => {
            saw.push(now)
            return now && { n: now.n + 1 }
          },
          { signal },
        )
        expect(result).toEqual({ n: 2 })
        expect(saw.at(-1)).toEqual({ n: 1 })
      })

      test('of a document that was removed in the meantime starts without a document', async () => {
        const key = newKey()
        await put(one, key, { n: 7 })
        await put(two, key, undefined)
        expect(await add(one, key)).toEqual({ n: 1 })
      })

      test('that returns its argument writes nothing, and resolves to what is stored', async () => {
        const key = newKey()
        await put(one, key, { n: 1 })
        await put(two, key, { n: 2 })
        await using heard = await listen(two)
        expect(await read(one, key)).toEqual({ n: 2 })
        await put(one, key, { n: 3 })
        await vi.waitFor(() => expect(heard.of(key).at(-1)).toEqual({ n: 3 }), 10_000)
        expect(heard.of(key)).toEqual([{ n: 2 }, { n: 3 }])
      })

      test('may write the same content again', async () => {
        const key = newKey()
        await put(one, key, { n: 1 })
        expect(await put(one, key, { n: 1 })).toEqual({ n: 1 })
      })

      test('rejects with the reason of an aborted signal', async () => {
        const key = newKey()
        const reason = new Error('given up')
        const update = one.update(key, () => ({ n: 1 }), { signal: AbortSignal.abort(reason) })
        await expect(update).rejects.toBe(reason)
        expect(await read(two, key)).toBeUndefined()
      })
    })

    describe('a watcher', () => {
      test('is notified of every existing document immediately', async () => {
        const [a, b, gone] = [newKey(), newKey(), newKey()]
        await Promise.all([put(one, a, { n: 1 }), put(two, b, { n: 2 }), put(one, gone, { n: 3 })])
        await put(two, gone, undefined)
        await using heard = await listen(one)
        expect([heard.of(a), heard.of(b), heard.of(gone)]).toEqual([[{ n: 1 }], [{ n: 2 }], []])
      })

      test('is notified of all changes in order, including its own and removals', async () => {
        const key = newKey()
        await using heard = await listen(one)
        await put(one, key, { n: 1 })
        await put(two, key, { n: 2 })
        await put(one, key, undefined)
        await put(two, key, { n: 3 })
        await vi.waitFor(() => expect(heard.of(key).at(-1)).toEqual({ n: 3 }), 10_000)
        const order = [{ n: 1 }, { n: 2 }, undefined, { n: 3 }]
        let at = -1
        for (const value of heard.of(key)) {
          const next = order.findIndex(
            (each, index) => index > at && each?.n === (value as Count | undefined)?.n,
          )
          expect(next, JSON.stringify(heard.of(key))).toBeGreaterThan(at)
          at = next
        }
      })

      test('never gets an older document after a newer one', async () => {
        const key = newKey()
        await using heard = await listen(two)
        await Promise.all(Array.from({ length: 30 }, (_, index) => add(index % 3 === 0 ? two : one, key)))
        await vi.waitFor(() => expect(heard.of(key).at(-1)).toEqual({ n: 30 }), 10_000)
        const counts = heard.of(key).map((value) => (value as Count).n)
        expect(counts).toEqual([...counts].sort((a, b) => a - b))
      })

      test('that was disposed is not notified any more', async () => {
        const key = newKey()
        const silent = await listen(one)
        await silent[Symbol.asyncDispose]()
        await using heard = await listen(one)
        await put(two, key, { n: 1 })
        await vi.waitFor(() => expect(heard.of(key)).toEqual([{ n: 1 }]), 10_000)
        expect(silent.of(key)).toEqual([])
      })
    })
  })
}

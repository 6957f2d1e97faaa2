import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import type { Coordination, Shared } from '../coordination/types.ts'
import { hooksOf, type TestFramework } from './framework.ts'
import { STEP_TIMEOUT, within } from './within.ts'

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

/** How to connect to the store. */
export interface CoordinationContractOptions {
  /** Called once, before all tests. */
  start(): Promise<CoordinationUnderTest>
}

/** How long a notification may take, in ms, and the time between two checks. */
const PATIENCE = 10_000
const BETWEEN_LOOKS = 5

/** Defines the tests that every coordination must pass, in a test file of vitest or node:test, as `describeDriverContract` does. */
export function describeCoordinationContract(
  name: string,
  options: CoordinationContractOptions,
  framework: TestFramework,
): void {
  const { describe, it: test } = framework
  const { before, after } = hooksOf(framework)

  describe(`the coordination contract: ${name}`, () => {
    let under: CoordinationUnderTest
    let one: Coordination
    let two: Coordination
    let keys = 0

    before(async () => {
      under = await within(STEP_TIMEOUT, '`start` resolves', options.start())
      one = under.one
      two = under.two
    })
    after(async () => under[Symbol.asyncDispose]())

    const { signal } = new AbortController()
    const newKey = (): string => `target/app.${++keys}.$0`
    const updated = <T>(key: string, update: Promise<T>): Promise<T> =>
      within(STEP_TIMEOUT, `coordination.update('${key}', …) resolves`, update)
    const put = <T extends Shared>(
      at: Coordination,
      key: string,
      value: T | undefined,
    ): Promise<T | undefined> =>
      updated(
        key,
        at.update<T>(key, () => value, { signal }),
      )
    const read = <T extends Shared>(at: Coordination, key: string): Promise<T | undefined> =>
      updated(
        key,
        at.update<T>(key, (now) => now, { signal }),
      )
    const add = (at: Coordination, key: string): Promise<Count | undefined> =>
      updated(
        key,
        at.update<Count>(key, (now) => ({ n: (now?.n ?? 0) + 1 }), { signal }),
      )

    async function listen(at: Coordination): Promise<Heard> {
      const heard = new Map<string, (Shared | undefined)[]>()
      const watching = at.watch((key, value) => {
        heard.set(key, [...(heard.get(key) ?? []), value])
      })
      const watch = await within(STEP_TIMEOUT, 'coordination.watch resolves', watching)
      return {
        of: (key) => heard.get(key) ?? [],
        [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
      }
    }

    describe('a document', () => {
      test('is created, replaced and removed, and both connections see it', async () => {
        const key = newKey()
        assert.equal(await read(one, key), undefined)
        assert.deepEqual(await put(one, key, { n: 1 }), { n: 1 })
        assert.deepEqual(await read(two, key), { n: 1 })
        assert.deepEqual(await put(two, key, { n: 2 }), { n: 2 })
        assert.deepEqual(await read(one, key), { n: 2 })
        assert.equal(await put(one, key, undefined), undefined)
        assert.equal(await read(two, key), undefined)
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
        assert.deepEqual(await read(two, key), value)
      })

      test('is independent for each key', async () => {
        const [a, b] = [newKey(), newKey()]
        await Promise.all([put(one, a, { n: 1 }), put(two, b, { n: 2 })])
        assert.deepEqual(await Promise.all([read(two, a), read(one, b)]), [{ n: 1 }, { n: 2 }])
      })
    })

    describe('an update', () => {
      test('is computed from the current document', async () => {
        const key = newKey()
        await put(one, key, { n: 1 })
        await put(two, key, { n: 5 })
        assert.deepEqual(await add(one, key), { n: 6 })
      })

      test('is never lost, however many run at once', async () => {
        const key = newKey()
        await Promise.all(Array.from({ length: 40 }, (_, index) => add(index % 2 === 0 ? one : two, key)))
        assert.deepEqual(await read(one, key), { n: 40 })
      })

      test('that creates the document creates it once if two run at once', async () => {
        for (let round = 0; round < 10; round++) {
          const key = newKey()
          const take = (at: Coordination, by: string): Promise<{ by: string } | undefined> =>
            at.update<{ by: string }>(key, (now) => now ?? { by }, { signal })
          const [first, second] = await Promise.all([take(one, 'one'), take(two, 'two')])
          assert.deepEqual(first, second)
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
        assert.deepEqual(result, { n: 2 })
        assert.deepEqual(saw.at(-1), { n: 1 })
      })

      test('of a document that was removed in the meantime starts without a document', async () => {
        const key = newKey()
        await put(one, key, { n: 7 })
        await put(two, key, undefined)
        assert.deepEqual(await add(one, key), { n: 1 })
      })

      test('that returns its argument writes nothing, and resolves to what is stored', async () => {
        const key = newKey()
        await put(one, key, { n: 1 })
        await put(two, key, { n: 2 })
        await using heard = await listen(two)
        assert.deepEqual(await read(one, key), { n: 2 })
        await put(one, key, { n: 3 })
        await until(() => heard.of(key).at(-1), { n: 3 })
        assert.deepEqual(heard.of(key), [{ n: 2 }, { n: 3 }])
      })

      test('may write the same content again', async () => {
        const key = newKey()
        await put(one, key, { n: 1 })
        assert.deepEqual(await put(one, key, { n: 1 }), { n: 1 })
      })

      test('rejects with the reason of an aborted signal', async () => {
        const key = newKey()
        const reason = new Error('given up')
        const update = one.update(key, () => ({ n: 1 }), { signal: AbortSignal.abort(reason) })
        await assert.rejects(update, (error) => error === reason)
        assert.equal(await read(two, key), undefined)
      })
    })

    describe('a watcher', () => {
      test('is notified of every existing document immediately', async () => {
        const [a, b, gone] = [newKey(), newKey(), newKey()]
        await Promise.all([put(one, a, { n: 1 }), put(two, b, { n: 2 }), put(one, gone, { n: 3 })])
        await put(two, gone, undefined)
        await using heard = await listen(one)
        assert.deepEqual([heard.of(a), heard.of(b), heard.of(gone)], [[{ n: 1 }], [{ n: 2 }], []])
      })

      test('is notified of all changes in order, including its own and removals', async () => {
        const key = newKey()
        await using heard = await listen(one)
        await put(one, key, { n: 1 })
        await put(two, key, { n: 2 })
        await put(one, key, undefined)
        await put(two, key, { n: 3 })
        await until(() => heard.of(key).at(-1), { n: 3 })
        const order = [{ n: 1 }, { n: 2 }, undefined, { n: 3 }]
        let at = -1
        for (const value of heard.of(key)) {
          const next = order.findIndex(
            (each, index) => index > at && each?.n === (value as Count | undefined)?.n,
          )
          assert.ok(next > at, JSON.stringify(heard.of(key)))
          at = next
        }
      })

      test('never gets an older document after a newer one', async () => {
        const key = newKey()
        await using heard = await listen(two)
        await Promise.all(Array.from({ length: 30 }, (_, index) => add(index % 3 === 0 ? two : one, key)))
        await until(() => heard.of(key).at(-1), { n: 30 })
        const counts = heard.of(key).map((value) => (value as Count).n)
        assert.deepEqual(
          counts,
          [...counts].sort((a, b) => a - b),
        )
      })

      test('that was disposed is not notified any more', async () => {
        const key = newKey()
        const silent = await listen(one)
        await silent[Symbol.asyncDispose]()
        await using heard = await listen(one)
        await put(two, key, { n: 1 })
        await until(() => heard.of(key), [{ n: 1 }])
        assert.deepEqual(silent.of(key), [])
      })
    })
  })
}

/** Resolves when `look` returns the value; rejects with the difference if it does not in time. */
async function until(look: () => unknown, value: unknown): Promise<void> {
  for (let waited = 0; ; waited += BETWEEN_LOOKS) {
    try {
      return assert.deepEqual(look(), value)
    } catch (error) {
      if (waited >= PATIENCE) throw error
    }
    await setTimeout(BETWEEN_LOOKS)
  }
}

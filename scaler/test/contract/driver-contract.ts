import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Driver, Endpoint, TargetKey, TargetState } from '../../src/types.ts'
import { News } from './news.ts'

/** A driver with targets for the tests. Each returned key is new. */
export interface DriverUnderTest extends AsyncDisposable {
  readonly driver: Driver
  /** A target that starts and responds. */
  target(): TargetKey
  /** A target that cannot become ready, with the code of its failure, until it is repaired. */
  failing(): { key: TargetKey; code: string; mend(): void }
  /** A target that does not respond before it is opened. `asked` resolves when the target has begun to start. */
  slow(): { key: TargetKey; asked: Promise<unknown>; open(): void }
  /** Simulates a crash of a replica. The driver notices it by itself. */
  crash(endpoint: Endpoint): Promise<void> | void
  /** Whether the endpoint currently answers HTTP. */
  answers(endpoint: Endpoint): Promise<boolean>
  /** Resolves when nothing of the target is running any more. */
  gone(key: TargetKey): Promise<void>
}

export interface DriverContractOptions {
  start(): Promise<DriverUnderTest>
  /** How many replicas of a target the driver can run. With 1, tests that need several are skipped. */
  readonly maxReplicas: number
  /** Whether the driver can stop exactly the replicas in `remove`. Default true. */
  readonly chooses?: boolean
}

const count =
  (replicas: number) =>
  (state: TargetState): boolean =>
    state.ready.length === replicas
const failed = (state: TargetState): boolean => state.failure !== undefined
/** Whether the endpoint is no longer ready, and `replicas` others are, if the number is given. */
const without =
  (endpoint: Endpoint, replicas?: number) =>
  ({ ready }: TargetState): boolean =>
    !ready.some(({ id }) => id === endpoint.id) && ready.length === (replicas ?? ready.length)

/**
 * The requirements for every driver. To test your own, copy this file, `news.ts` and `http.ts`, and import the types from
 * `@fp/scaler`; the files only need vitest.
 */
export function describeDriverContract(name: string, options: DriverContractOptions): void {
  describe(`the driver contract: ${name}`, () => {
    let under: DriverUnderTest
    let driver: Driver
    let news: News

    beforeAll(async () => {
      under = await options.start()
      driver = under.driver
      news = await News.of(driver)
    })
    afterAll(async () => {
      await news[Symbol.asyncDispose]()
      await under[Symbol.asyncDispose]()
    })

    async function scale(key: TargetKey, replicas: number, remove?: readonly string[]): Promise<void> {
      const { signal } = new AbortController()
      await driver.scale(key, replicas, { signal, ...(remove ? { remove } : {}) })
    }

    async function wake(key: TargetKey, replicas = 1): Promise<readonly Endpoint[]> {
      await scale(key, replicas)
      return (await news.until(key, count(replicas))).ready
    }

    async function sleep(key: TargetKey): Promise<void> {
      await scale(key, 0)
      await news.until(key, count(0))
    }

    /** Starts and stops another target, so that pending reports have had time to arrive. */
    async function somethingElse(): Promise<void> {
      const other = under.target()
      await wake(other)
      await sleep(other)
    }

    describe('a target that is scaled up', () => {
      test('is accepted immediately, and ready only when its endpoint answers', async () => {
        const { key, asked, open } = under.slow()
        await scale(key, 1)
        await asked
        expect(news.ready(key)).toEqual([])
        open()
        const [endpoint] = (await news.until(key, count(1))).ready
        expect(await under.answers(endpoint!)).toBe(true)
        await sleep(key)
      })

      test('has one replica however often it is scaled to one', async () => {
        const key = under.target()
        await Promise.all([scale(key, 1), scale(key, 1)])
        await news.until(key, count(1))
        await scale(key, 1)
        await somethingElse()
        const ids = news.of(key).flatMap(({ ready }) => ready.map(({ id }) => id))
        expect(new Set(ids).size).toBe(1)
        expect(news.ready(key)).toHaveLength(1)
        await sleep(key)
      })

      test('starts at the same time as others, and is not confused with them', async () => {
        const keys = [under.target(), under.target(), under.target()]
        await Promise.all(keys.map((key) => scale(key, 1)))
        const states = await Promise.all(keys.map((key) => news.until(key, count(1))))
        const endpoints = states.map(({ ready }) => ready[0]!)
        expect(new Set(endpoints.map(({ id }) => id)).size).toBe(3)
        await sleep(keys[0]!)
        await under.crash(endpoints[1]!)
        await news.until(keys[1]!, count(0))
        expect(news.ready(keys[2]!)).toEqual([endpoints[2]!.id])
        expect(await under.answers(endpoints[2]!)).toBe(true)
        await sleep(keys[2]!)
      })

      test('with an aborted signal is refused, and nothing starts', async () => {
        const key = under.target()
        const signal = AbortSignal.abort(new Error('not wanted'))
        await expect(driver.scale(key, 1, { signal })).rejects.toThrow('not wanted')
        await somethingElse()
        expect(news.ready(key)).toEqual([])
        await under.gone(key)
      })
    })

    describe('a target that is scaled to zero', () => {
      test('has no endpoints left, and they end', async () => {
        const key = under.target()
        const [endpoint] = await wake(key)
        await sleep(key)
        await under.gone(key)
        expect(await under.answers(endpoint!)).toBe(false)
      })

      test('while it is starting never becomes ready', async () => {
        const { key, asked, open } = under.slow()
        await scale(key, 1)
        await asked
        await scale(key, 0)
        open()
        await under.gone(key)
        await somethingElse()
        expect(news.of(key).every(count(0))).toBe(true)
      })

      test('and back to one immediately has a new endpoint, however often', async () => {
        const key = under.target()
        const ids = [(await wake(key))[0]!.id]
        for (let time = 0; time < 3; time++) {
          await Promise.all([scale(key, 0), scale(key, 1)])
          const { ready } = await news.until(
            key,
            ({ ready: [first] }) => first !== undefined && !ids.includes(first.id),
          )
          expect(await under.answers(ready[0]!)).toBe(true)
          ids.push(ready[0]!.id)
        }
        await sleep(key)
        ids.push((await wake(key))[0]!.id)
        expect(new Set(ids).size).toBe(5)
        await sleep(key)
      })

      test('without having been scaled up has no error', async () => {
        const key = under.target()
        await scale(key, 0)
        expect(await under.answers((await wake(key))[0]!)).toBe(true)
        await sleep(key)
      })
    })

    describe('a target that fails', () => {
      test('before it is ready is reported with a code and a message, and is never ready', async () => {
        const { key, code } = under.failing()
        await scale(key, 1)
        const { failure } = await news.until(key, failed)
        expect(failure).toMatchObject({ code, message: expect.stringMatching(/\w/) as string })
        expect(news.of(key).every(count(0))).toBe(true)
      })

      test('starts when it is scaled up again after a repair', async () => {
        const { key, mend } = under.failing()
        await scale(key, 1)
        await news.until(key, failed)
        mend()
        await scale(key, 0)
        expect(await under.answers((await wake(key))[0]!)).toBe(true)
        expect(news.of(key).at(-1)?.failure).toBeUndefined()
        await sleep(key)
      })

      test('while it is running is no longer ready, and starts again when it is scaled', async () => {
        const key = under.target()
        const [first] = await wake(key)
        await under.crash(first!)
        await news.until(key, count(0))
        // The activator does the same after a request to an endpoint that is gone.
        await scale(key, 0)
        const [second] = await wake(key)
        expect(second!.id).not.toBe(first!.id)
        await sleep(key)
      })
    })

    describe.runIf(options.maxReplicas >= 3)('a target of several replicas', () => {
      test('has that many different endpoints', async () => {
        const key = under.target()
        const [one] = await wake(key)
        const three = await wake(key, 3)
        expect(new Set(three.map(({ id }) => id)).size).toBe(3)
        expect(new Set(three.map(({ url }) => url.href)).size).toBe(3)
        expect(three.map(({ id }) => id)).toContain(one!.id)
        for (const endpoint of three) expect(await under.answers(endpoint)).toBe(true)
        await sleep(key)
      })

      test('loses the endpoints in `remove` at a scale-down', async () => {
        const key = under.target()
        const [first, second, third] = await wake(key, 3)
        await scale(key, 1, [first!.id, third!.id])
        await news.until(key, count(1))
        expect(news.ready(key)).toEqual([second!.id])
        expect(await under.answers(second!)).toBe(true)
        await sleep(key)
      })

      test.runIf(options.chooses ?? true)('keeps what is not named: it may be in use', async () => {
        const key = under.target()
        const [first] = await wake(key, 3)
        await scale(key, 2)
        await somethingElse()
        expect(news.ready(key)).toHaveLength(3)
        await scale(key, 2, [first!.id])
        await news.until(key, count(2))
        expect(news.ready(key)).not.toContain(first!.id)
        await sleep(key)
      })

      test('keeps the other endpoints when one crashes, and replaces that one', async () => {
        const key = under.target()
        const [first, second] = await wake(key, 2)
        await under.crash(first!)
        const { ready } = await news.until(key, without(first!, 2))
        expect(ready.map(({ id }) => id)).toContain(second!.id)
        for (const endpoint of ready) expect(await under.answers(endpoint)).toBe(true)
        expect(news.of(key).every(({ failure }) => failure === undefined)).toBe(true)
        await sleep(key)
      })

      test('starts what is missing when it is scaled to the same number again, and no more', async () => {
        const key = under.target()
        const [first, second] = await wake(key, 2)
        await under.crash(first!)
        await news.until(key, without(first!))
        await Promise.all([scale(key, 2), scale(key, 2)])
        await news.until(key, without(first!, 2))
        await somethingElse()
        expect(news.ready(key)).toHaveLength(2)
        expect(news.ready(key)).toContain(second!.id)
        await sleep(key)
      })

      test.runIf(options.chooses ?? true)(
        'replaces the endpoints in `remove` if it is scaled to the same number',
        async () => {
          const key = under.target()
          const [first, second] = await wake(key, 2)
          await scale(key, 2, [first!.id])
          const { ready } = await news.until(key, without(first!, 2))
          expect(ready.map(({ id }) => id)).toContain(second!.id)
          for (const endpoint of ready) expect(await under.answers(endpoint)).toBe(true)
          // The activator may repeat the call.
          await scale(key, 2, [first!.id])
          await somethingElse()
          expect(news.ready(key).sort()).toEqual(ready.map(({ id }) => id).sort())
          await sleep(key)
        },
      )
    })

    describe('a replica in `remove`', () => {
      test.runIf(options.chooses ?? true)('that is the only one is replaced', async () => {
        const key = under.target()
        const [first] = await wake(key)
        await scale(key, 1, [first!.id])
        const { ready } = await news.until(key, without(first!, 1))
        expect(await under.answers(ready[0]!)).toBe(true)
        await sleep(key)
      })
    })

    describe('a probe', () => {
      test('says whether an endpoint answers', async ({ skip }) => {
        skip(!driver.probe, 'the driver has no probe')
        const { signal } = new AbortController()
        const key = under.target()
        const [endpoint] = await wake(key)
        expect(await driver.probe!(key, endpoint!, signal)).toBe(true)
        await sleep(key)
        await under.gone(key)
        expect(await driver.probe!(key, endpoint!, signal).catch(() => false)).toBe(false)
      })
    })

    describe('a watch', () => {
      test('begins with the ready endpoints', async () => {
        const key = under.target()
        const [endpoint] = await wake(key)
        await using late = await News.of(driver)
        expect(late.ready(key)).toEqual([endpoint!.id])
        await sleep(key)
      })

      test('gets the same reports as every other watch, until it is disposed', async () => {
        const key = under.target()
        await using one = await News.of(driver)
        const two = await News.of(driver)
        await scale(key, 1)
        const [a, b] = await Promise.all([one.until(key, count(1)), two.until(key, count(1))])
        expect(a.ready[0]!.id).toBe(b.ready[0]!.id)
        await two[Symbol.asyncDispose]()
        const heard = two.of(key).length
        await scale(key, 0)
        await one.until(key, count(0))
        await somethingElse()
        expect(two.of(key)).toHaveLength(heard)
      })
    })
  })
}

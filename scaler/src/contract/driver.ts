// Longer than 300 lines: the cases of one contract, one after the other.

import assert from 'node:assert/strict'
import type { Driver, Endpoint, TargetKey, TargetState } from '../types.ts'
import { hooksOf, type TestFramework } from './framework.ts'
import { answers } from './http.ts'
import { News } from './news.ts'
import { STEP_TIMEOUT, within } from './within.ts'

/** A driver with targets for the tests. Each returned key is new. */
export interface DriverUnderTest extends AsyncDisposable {
  readonly driver: Driver
  /** A target that starts and responds. */
  target(): TargetKey
  /** A target that cannot become ready until it is repaired. */
  failing(): FailingTarget
  /** A target that does not respond before it is opened. */
  slow(): SlowTarget
  /** Simulates a crash of a replica. The driver notices it by itself. */
  crash(endpoint: Endpoint): Promise<void> | void
  /** Whether the endpoint currently answers HTTP. Default: whether it answers a GET with a status below 500. */
  answers?(endpoint: Endpoint): Promise<boolean>
  /** Resolves when nothing of the target is running any more. */
  gone(key: TargetKey): Promise<void>
}

/** A target that fails. */
export interface FailingTarget {
  readonly key: TargetKey
  /** The code of its failure. */
  readonly code: string
  /** Repairs the target. */
  mend(): void
}

/** A target that starts slowly. */
export interface SlowTarget {
  readonly key: TargetKey
  /** Resolves when the target has begun to start. */
  readonly asked: Promise<unknown>
  /** Lets the target respond. */
  open(): void
}

/** How to start the driver, and what it can do. */
export interface DriverContractOptions {
  /** Called once, before all tests. */
  start(): Promise<DriverUnderTest>
  /** How many replicas of a target the driver can run. With 1, tests that need several are skipped. */
  readonly maxReplicas: number
  /** Whether the driver can stop exactly the replicas in `remove`. Default true. */
  readonly chooses?: boolean | undefined
  /**
   * How long the driver may take for one step, such as a start, in ms; default 30 s. The test then fails and names the step. The
   * time limit of your test framework should be longer.
   */
  readonly stepTimeout?: number | undefined
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
 * Defines the tests that every driver must pass: `describeDriverContract('mine', { start, maxReplicas: 3 }, await import('vitest'))`
 * in a test file of vitest, or with `node:test`.
 */
export function describeDriverContract(
  name: string,
  options: DriverContractOptions,
  framework: TestFramework,
): void {
  const { describe, it: test } = framework
  const { before, after } = hooksOf(framework)
  const testIf = (condition: boolean): typeof test.skip => (condition ? test : test.skip)
  const { stepTimeout = STEP_TIMEOUT } = options
  const chooses = testIf(options.chooses ?? true)
  const several = testIf(options.maxReplicas >= 3)
  const choosesSeveral = testIf((options.chooses ?? true) && options.maxReplicas >= 3)

  describe(`the driver contract: ${name}`, () => {
    let under: DriverUnderTest
    let driver: Driver
    let news: News
    const step = <T>(name: string, promise: T | PromiseLike<T>): Promise<T> =>
      within(stepTimeout, name, promise)
    const answer = (endpoint: Endpoint): Promise<boolean> =>
      step(`the endpoint ${endpoint.id} answers or refuses`, (under.answers ?? answers)(endpoint))
    const crash = (endpoint: Endpoint): Promise<void> =>
      step(`\`crash\` of the endpoint ${endpoint.id}`, under.crash(endpoint))
    const gone = (key: TargetKey): Promise<void> => step(`\`gone\` of the target ${key}`, under.gone(key))

    before(async () => {
      under = await step('`start` resolves', options.start())
      driver = under.driver
      news = await News.of(driver, stepTimeout)
    })
    after(async () => {
      await step('the watch is disposed', news[Symbol.asyncDispose]())
      await step('what `start` returned is disposed', under[Symbol.asyncDispose]())
    })

    async function scale(key: TargetKey, replicas: number, remove?: readonly string[]): Promise<void> {
      const { signal } = new AbortController()
      const scaled = driver.scale(key, replicas, { signal, ...(remove ? { remove } : {}) })
      await step(`driver.scale('${key}', ${replicas}) resolves`, scaled)
    }

    async function wake(key: TargetKey, replicas = 1): Promise<readonly Endpoint[]> {
      await scale(key, replicas)
      return (await news.until(key, count(replicas), `${replicas} ready endpoints`)).ready
    }

    async function sleep(key: TargetKey): Promise<void> {
      await scale(key, 0)
      await news.until(key, count(0), '0 ready endpoints')
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
        await step(`\`asked\` of the target ${key} resolves`, asked)
        assert.deepEqual(news.ready(key), [])
        open()
        const [endpoint] = (await news.until(key, count(1), '1 ready endpoint')).ready
        assert.equal(await answer(endpoint!), true)
        await sleep(key)
      })

      test('has one replica however often it is scaled to one', async () => {
        const key = under.target()
        await Promise.all([scale(key, 1), scale(key, 1)])
        await news.until(key, count(1), '1 ready endpoint')
        await scale(key, 1)
        await somethingElse()
        const ids = news.of(key).flatMap(({ ready }) => ready.map(({ id }) => id))
        assert.equal(new Set(ids).size, 1)
        assert.equal(news.ready(key).length, 1)
        await sleep(key)
      })

      test('starts at the same time as others, and is not confused with them', async () => {
        const keys = [under.target(), under.target(), under.target()]
        await Promise.all(keys.map((key) => scale(key, 1)))
        const states = await Promise.all(keys.map((key) => news.until(key, count(1), '1 ready endpoint')))
        const endpoints = states.map(({ ready }) => ready[0]!)
        assert.equal(new Set(endpoints.map(({ id }) => id)).size, 3)
        await sleep(keys[0]!)
        await crash(endpoints[1]!)
        await news.until(keys[1]!, count(0), '0 ready endpoints')
        assert.deepEqual(news.ready(keys[2]!), [endpoints[2]!.id])
        assert.equal(await answer(endpoints[2]!), true)
        await sleep(keys[2]!)
      })

      test('with an aborted signal is refused, and nothing starts', async () => {
        const key = under.target()
        const signal = AbortSignal.abort(new Error('not wanted'))
        await assert.rejects(driver.scale(key, 1, { signal }), /not wanted/)
        await somethingElse()
        assert.deepEqual(news.ready(key), [])
        await gone(key)
      })
    })

    describe('a target that is scaled to zero', () => {
      test('has no endpoints left, and they end', async () => {
        const key = under.target()
        const [endpoint] = await wake(key)
        await sleep(key)
        await gone(key)
        assert.equal(await answer(endpoint!), false)
      })

      test('while it is starting never becomes ready', async () => {
        const { key, asked, open } = under.slow()
        await scale(key, 1)
        await step(`\`asked\` of the target ${key} resolves`, asked)
        await scale(key, 0)
        open()
        await gone(key)
        await somethingElse()
        assert.equal(news.of(key).every(count(0)), true)
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
          assert.equal(await answer(ready[0]!), true)
          ids.push(ready[0]!.id)
        }
        await sleep(key)
        ids.push((await wake(key))[0]!.id)
        assert.equal(new Set(ids).size, 5)
        await sleep(key)
      })

      test('without having been scaled up has no error', async () => {
        const key = under.target()
        await scale(key, 0)
        assert.equal(await answer((await wake(key))[0]!), true)
        await sleep(key)
      })
    })

    describe('a target that fails', () => {
      test('before it is ready is reported with a code and a message, and is never ready', async () => {
        const { key, code } = under.failing()
        await scale(key, 1)
        const { failure } = await news.until(key, failed, 'a failure')
        assert.equal(failure?.code, code)
        assert.match(failure!.message, /\w/)
        assert.equal(news.of(key).every(count(0)), true)
      })

      test('starts when it is scaled up again after a repair', async () => {
        const { key, mend } = under.failing()
        await scale(key, 1)
        await news.until(key, failed, 'a failure')
        mend()
        await scale(key, 0)
        assert.equal(await answer((await wake(key))[0]!), true)
        assert.equal(news.of(key).at(-1)?.failure, undefined)
        await sleep(key)
      })

      test('while it is running is no longer ready, and starts again when it is scaled', async () => {
        const key = under.target()
        const [first] = await wake(key)
        await crash(first!)
        await news.until(key, count(0), '0 ready endpoints')
        // The activator does the same after a request to an endpoint that is gone.
        await scale(key, 0)
        const [second] = await wake(key)
        assert.notEqual(second!.id, first!.id)
        await sleep(key)
      })
    })

    describe('a target of several replicas', () => {
      several('has that many different endpoints', async () => {
        const key = under.target()
        const [one] = await wake(key)
        const three = await wake(key, 3)
        assert.equal(new Set(three.map(({ id }) => id)).size, 3)
        assert.equal(new Set(three.map(({ url }) => url.href)).size, 3)
        assert.ok(three.map(({ id }) => id).includes(one!.id))
        for (const endpoint of three) assert.equal(await answer(endpoint), true)
        await sleep(key)
      })

      several('loses the endpoints in `remove` at a scale-down', async () => {
        const key = under.target()
        const [first, second, third] = await wake(key, 3)
        await scale(key, 1, [first!.id, third!.id])
        await news.until(key, count(1), '1 ready endpoint')
        assert.deepEqual(news.ready(key), [second!.id])
        assert.equal(await answer(second!), true)
        await sleep(key)
      })

      choosesSeveral('keeps what is not named: it may be in use', async () => {
        const key = under.target()
        const [first] = await wake(key, 3)
        await scale(key, 2)
        await somethingElse()
        assert.equal(news.ready(key).length, 3)
        await scale(key, 2, [first!.id])
        await news.until(key, count(2), '2 ready endpoints')
        assert.ok(!news.ready(key).includes(first!.id))
        await sleep(key)
      })

      several('keeps the other endpoints when one crashes, and replaces that one', async () => {
        const key = under.target()
        const [first, second] = await wake(key, 2)
        await crash(first!)
        const { ready } = await news.until(key, without(first!, 2), 'another ready set')
        assert.ok(ready.map(({ id }) => id).includes(second!.id))
        for (const endpoint of ready) assert.equal(await answer(endpoint), true)
        assert.equal(
          news.of(key).every(({ failure }) => failure === undefined),
          true,
        )
        await sleep(key)
      })

      several('starts what is missing when it is scaled to the same number again, and no more', async () => {
        const key = under.target()
        const [first, second] = await wake(key, 2)
        await crash(first!)
        await news.until(key, without(first!), 'another ready set')
        await Promise.all([scale(key, 2), scale(key, 2)])
        await news.until(key, without(first!, 2), 'another ready set')
        await somethingElse()
        assert.equal(news.ready(key).length, 2)
        assert.ok(news.ready(key).includes(second!.id))
        await sleep(key)
      })

      choosesSeveral('replaces the endpoints in `remove` if it is scaled to the same number', async () => {
        const key = under.target()
        const [first, second] = await wake(key, 2)
        await scale(key, 2, [first!.id])
        const { ready } = await news.until(key, without(first!, 2), 'another ready set')
        assert.ok(ready.map(({ id }) => id).includes(second!.id))
        for (const endpoint of ready) assert.equal(await answer(endpoint), true)
        // The activator may repeat the call.
        await scale(key, 2, [first!.id])
        await somethingElse()
        assert.deepEqual(news.ready(key).sort(), ready.map(({ id }) => id).sort())
        await sleep(key)
      })
    })

    describe('a replica in `remove`', () => {
      chooses('that is the only one is replaced', async () => {
        const key = under.target()
        const [first] = await wake(key)
        await scale(key, 1, [first!.id])
        const { ready } = await news.until(key, without(first!, 1), 'another ready set')
        assert.equal(await answer(ready[0]!), true)
        await sleep(key)
      })
    })

    describe('a probe', () => {
      test('says whether an endpoint answers', async () => {
        if (!driver.probe) return
        const { signal } = new AbortController()
        const key = under.target()
        const [endpoint] = await wake(key)
        assert.equal(await driver.probe(key, endpoint!, signal), true)
        await sleep(key)
        await gone(key)
        assert.equal(await driver.probe(key, endpoint!, signal).catch(() => false), false)
      })
    })

    describe('a watch', () => {
      test('begins with the ready endpoints', async () => {
        const key = under.target()
        const [endpoint] = await wake(key)
        await using late = await News.of(driver)
        assert.deepEqual(late.ready(key), [endpoint!.id])
        await sleep(key)
      })

      test('gets the same reports as every other watch, until it is disposed', async () => {
        const key = under.target()
        await using one = await News.of(driver)
        const two = await News.of(driver)
        await scale(key, 1)
        const [a, b] = await Promise.all([
          one.until(key, count(1), '1 ready endpoint'),
          two.until(key, count(1), '1 ready endpoint'),
        ])
        assert.equal(a.ready[0]!.id, b.ready[0]!.id)
        await two[Symbol.asyncDispose]()
        const heard = two.of(key).length
        await scale(key, 0)
        await one.until(key, count(0), '0 ready endpoints')
        await somethingElse()
        assert.equal(two.of(key).length, heard)
      })
    })
  })
}

import { createActivator, DEFAULT_POLICY } from '../src/activator.ts'
import { systemClock, type Clock } from '../src/clock.ts'
import { FakeDriver } from '../src/drivers/fake/index.ts'

const TARGETS = 10_000
const STAMPEDE = 1_000
const PAIRS = 1_000_000
const ROUNDS = 5
const CONCURRENCIES = [0, 100]
const POLICY = { ...DEFAULT_POLICY, queueDepth: STAMPEDE }

/** The system clock, which also counts the pending timers. */
function countingClock(): Clock & { readonly armed: number } {
  let armed = 0
  return {
    get armed() {
      return armed
    },
    now: systemClock.now,
    wall: systemClock.wall,
    schedule(ms, fn) {
      armed++
      const cancel = systemClock.schedule(ms, () => {
        armed--
        fn()
      })
      let cancelled = false
      return () => {
        if (!cancelled) armed--
        cancelled = true
        cancel()
      }
    },
  }
}

/**
 * Measures the core itself, with the fake driver: acquire and release, memory of targets that are asleep, and many simultaneous
 * requests to one target.
 */
export async function benchCore(): Promise<void> {
  console.log('\n# Core')
  for (const concurrency of CONCURRENCIES) await acquireAndRelease(concurrency)
  await sleepers()
  await stampede()
}

async function acquireAndRelease(concurrency: number): Promise<void> {
  const driver = new FakeDriver()
  driver.ready('app')
  const activator = await createActivator({ driver, policy: () => ({ ...POLICY, concurrency }) })
  const hot: number[] = []
  const promised: number[] = []
  for (let round = 0; round <= ROUNDS; round++) {
    let began = performance.now()
    for (let pair = 0; pair < PAIRS; pair++) activator.tryAcquire('app')!.release()
    hot.push(((performance.now() - began) * 1000) / PAIRS)
    began = performance.now()
    for (let pair = 0; pair < PAIRS; pair++) (await activator.acquire('app')).release()
    promised.push(((performance.now() - began) * 1000) / PAIRS)
  }
  await activator.close()
  const limit = concurrency === 0 ? 'unlimited' : `of ${concurrency}`
  // The first round is a warm-up.
  console.log(`tryAcquire and release, concurrency ${limit}: ${median(hot.slice(1)).toFixed(2)} µs (goal: 2)`)
  console.log(`await acquire and release, concurrency ${limit}: ${median(promised.slice(1)).toFixed(2)} µs`)
}

async function sleepers(): Promise<void> {
  const driver = new FakeDriver()
  driver.onScale = ({ key, replicas }) => {
    if (replicas > 0) driver.grow(key, 1)
  }
  const clock = countingClock()
  const activator = await createActivator({ driver, clock, policy: () => POLICY })
  const before = heap()
  for (let index = 0; index < TARGETS; index++) (await activator.acquire(`target-${index}`)).release()
  const awake = heap()
  for (let index = 0; index < TARGETS; index++) await activator.sleep(`target-${index}`)
  driver.calls.length = 0
  const asleep = heap()
  const remembered = [...activator.targets()].length
  console.log(`${TARGETS} targets awake: ${mib(awake - before)} MiB`)
  console.log(
    `${TARGETS} targets asleep: ${mib(asleep - before)} MiB (goal: 50), ${clock.armed} timers, ${remembered} remembered`,
  )
  await activator.close()
}

async function stampede(): Promise<void> {
  const driver = new FakeDriver()
  const activator = await createActivator({ driver, policy: () => POLICY })
  const asked = Array.from({ length: STAMPEDE }, () => activator.acquire('app'))
  await new Promise((resolve) => setImmediate(resolve))
  const began = performance.now()
  driver.ready('app')
  for (const lease of await Promise.all(asked)) lease.release()
  const took = performance.now() - began
  const wakes = driver.calls.filter(({ replicas }) => replicas > 0).length
  console.log(
    `${STAMPEDE} requests on one sleeping target: ${wakes} wake, ${took.toFixed(1)} ms from ready to all served`,
  )
  await activator.close()
}

function heap(): number {
  if (!globalThis.gc) throw new Error('Run with --expose-gc.')
  globalThis.gc()
  globalThis.gc()
  return process.memoryUsage().heapUsed
}

function mib(bytes: number): string {
  return (bytes / 1024 / 1024).toFixed(1)
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!
}

import { FakeClock } from '@fp/scaler/fake'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { testMongo } from '../../../test/database.ts'
import { createLogCollector, type LogCollector } from './log-collector.ts'
import { LogStore, type PodLine } from './log-store.ts'
import { createObjectStore } from './store.ts'
import { LocalApi, type Asked } from './test/local-api.ts'
import { LocalKubelet } from './test/local-kubelet.ts'

let mongo: Awaited<ReturnType<typeof testMongo>>
let logs: FragileLogs
let api: LocalApi
let kubelet: LocalKubelet
let clock: FakeClock
let collector: LogCollector
/** Names of the pods that were read to their end. */
let read: string[]

class FragileLogs extends LogStore {
  /** How many writes fail. */
  broken = 0
  written = 0
  override async append(lines: readonly PodLine[]): Promise<void> {
    if (this.broken > 0) {
      this.broken--
      throw new Error('the database is away')
    }
    this.written += lines.length
    await super.append(lines)
  }
}

beforeEach(async () => {
  mongo = await testMongo()
  logs = new FragileLogs(mongo.db)
  await logs.createIndexes()
  api = await LocalApi.start()
  kubelet = new LocalKubelet()
  api.onAsked = (asked, response) => kubelet.answer(asked, response)
  clock = new FakeClock()
  read = []
  collector = collect()
})
afterEach(async () => {
  await collector[Symbol.asyncDispose]()
  await api[Symbol.asyncDispose]()
  await mongo[Symbol.asyncDispose]()
})

function collect(): LogCollector {
  return createLogCollector({
    api: api.api,
    store: createObjectStore(api.api, 'fp-apps'),
    logs,
    clock,
    onRead: ({ metadata, status }) => void read.push(`${metadata!.name} ${status!.phase}`),
    log: pino({ level: 'silent' }),
  })
}
const see = (): void => collector.seen(kubelet.pod)
const texts = async (lines: number): Promise<string[]> =>
  (await logs.tail('a', lines)).map(({ text }) => text)
const logsAsked = (): Asked[] => api.asked.filter(({ path }) => path.endsWith('/log'))
const followed = (streams = 1): Promise<void> =>
  expect
    .poll(async () => {
      await clock.advance(1_000)
      return kubelet.streams
    }, PATIENT)
    .toBe(streams)
const PATIENT = { timeout: 20_000 }
/** As time goes by. */
const kept = (...lines: string[]): Promise<void> =>
  expect
    .poll(async () => {
      await clock.advance(1_000)
      return texts(10_000)
    }, PATIENT)
    .toEqual(lines)
/** Until nothing is asked again for a while, however the clock goes on. Each look at the database gives what is under way its time. */
async function quiet(): Promise<void> {
  let asked = -1
  let rounds = 0
  await expect
    .poll(
      async () => {
        await clock.advance(1_000)
        await logs.tail('a', 1)
        rounds = asked === api.asked.length && clock.pending === 0 ? rounds + 1 : 0
        asked = api.asked.length
        return rounds
      },
      { ...PATIENT, interval: 1 },
    )
    .toBeGreaterThan(20)
}

test('the output of a pod is stored as it arrives, from its beginning', async () => {
  kubelet.print('before')
  see()
  await kept('before')
  kubelet.print('one', 'two')
  await kept('before', 'one', 'two')
  expect(logsAsked()[0]).toMatchObject({
    path: '/api/v1/namespaces/fp-apps/pods/app-a-1-0-x/log',
    query: { container: 'app', follow: 'true', timestamps: 'true' },
  })
})

test('a pod that is reported often is followed once', async () => {
  see()
  await followed()
  see()
  see()
  kubelet.print('one')
  await kept('one')
  expect(logsAsked()).toHaveLength(1)
})

test('two concurrent leaders store each line once', async () => {
  const other = collect()
  see()
  other.seen(kubelet.pod)
  await followed(2)
  kubelet.print('one', 'two', 'three')
  await kept('one', 'two', 'three')
  await other[Symbol.asyncDispose]()
})

test.each(['end', 'destroy'] as const)('a connection that breaks off by %s is resumed', async (how) => {
  kubelet.print('one', 'two')
  see()
  await kept('one', 'two')
  kubelet.printUnheard('three')
  kubelet.breakOff(how)
  await kept('one', 'two', 'three')
  await followed()
  kubelet.print('four')
  await kept('one', 'two', 'three', 'four')
  kubelet.breakOff(how)
  await followed()
  kubelet.print('five')
  await kept('one', 'two', 'three', 'four', 'five')
  kubelet.breakOff(how)
  kubelet.print('six')
  await kept('one', 'two', 'three', 'four', 'five', 'six')
  // The lines of the last second come again each time, and are not written again.
  expect(logs.written).toBe(6)
  expect(logsAsked()[1]!.query['sinceTime']).toBe('2026-01-01T00:00:00.200000000Z')
})

test('a new leader continues where the last one stopped', async () => {
  kubelet.print('one')
  see()
  await kept('one')
  await collector[Symbol.asyncDispose]()
  await followed(0)
  kubelet.print('two')
  collector = collect()
  see()
  await kept('one', 'two')
  expect(logsAsked()[1]!.query['sinceTime']).toBe('2026-01-01T00:00:00.100000000Z')
})

test('lines that were read before the stop are stored', async () => {
  kubelet.print('one')
  see()
  // It is to be written a little later.
  await expect.poll(() => clock.pending, PATIENT).toBe(1)
  await collector[Symbol.asyncDispose]()
  expect(await texts(10)).toEqual(['one'])
})

test('the log of a container that has ended is read to its end, and no further', async () => {
  see()
  await followed()
  kubelet.print('one')
  kubelet.printUnheard('last words')
  expect(read).toEqual([])
  kubelet.end()
  await kept('one', 'last words')
  // With the latest state of the pod.
  await expect
    .poll(async () => {
      await clock.advance(1_000)
      return read
    }, PATIENT)
    .toEqual(['app-a-1-0-x Failed'])
  see()
  see()
  await quiet()
  expect(logsAsked()).toHaveLength(2)
})

test('the log of a container that crashed before anybody saw it run is read', async () => {
  kubelet.print('Traceback', 'ZeroDivisionError')
  kubelet.end()
  see()
  await kept('Traceback', 'ZeroDivisionError')
  await quiet()
  expect(logsAsked()).toHaveLength(1)
})

test('so is the log of one that waits for its restart, and then that of each run', async () => {
  kubelet.print('first life')
  kubelet.state = 'waiting'
  see()
  await kept('first life')
  await quiet()
  kubelet.restart()
  kubelet.print('second life')
  see()
  await kept('first life', 'second life')
  kubelet.printUnheard('its end')
  kubelet.breakOff('destroy')
  // The pod was not reported between its end and its restart.
  kubelet.restart()
  kubelet.print('third life')
  see()
  await kept('first life', 'second life', 'its end', 'third life')
})

test('the log of a pod that is deleted right after its crash is read in time', async () => {
  kubelet.print('Traceback')
  kubelet.end()
  see()
  await expect.poll(() => logsAsked().length, PATIENT).toBe(1)
  kubelet.deleted = true
  collector.gone(kubelet.pod)
  await kept('Traceback')
  await quiet()
})

test('a deleted pod is not requested again', async () => {
  see()
  await followed()
  kubelet.deleted = true
  kubelet.breakOff('destroy')
  await quiet()
  const asked = api.asked.length
  await clock.advance(60_000)
  expect(api.asked).toHaveLength(asked)
})

test('the log of a container that was not started is requested once per change, not in a loop', async () => {
  kubelet.state = 'waiting'
  see()
  await quiet()
  expect(logsAsked()).toEqual([])
  kubelet.refusal = {
    status: 400,
    message: 'container "app" in pod "x" is waiting to start: ContainerCreating',
  }
  kubelet.state = 'running'
  see()
  await expect.poll(() => logsAsked().length, PATIENT).toBe(1)
  await quiet()
  expect(logsAsked()).toHaveLength(1)
  kubelet.refusal = undefined
  kubelet.print('it runs')
  see()
  await kept('it runs')
})

test('a failing server is asked again until it works', async () => {
  kubelet.refusal = { status: 500, message: 'etcd is away' }
  kubelet.print('one')
  see()
  await expect
    .poll(async () => {
      await clock.advance(1_000)
      return logsAsked().length
    }, PATIENT)
    .toBeGreaterThan(3)
  kubelet.refusal = undefined
  await kept('one')
})

test('a short failure of the database loses no line, and the lines stay in order', async () => {
  kubelet.print('one')
  see()
  await kept('one')
  logs.broken = 2
  kubelet.print('two')
  await expect
    .poll(async () => {
      await clock.advance(200)
      kubelet.print('more')
      return logs.broken
    }, PATIENT)
    .toBe(0)
  await expect
    .poll(async () => {
      await clock.advance(1_000)
      return (await texts(10_000)).slice(0, 3)
    }, PATIENT)
    .toEqual(['one', 'two', 'more'])
})

test('lines that could not be stored are stored later even if the app prints nothing more', async () => {
  see()
  await followed()
  logs.broken = 1
  kubelet.print('only word')
  await kept('only word')
})

test('long and endless lines are cut, and lines that are not the app’s are left out', async () => {
  kubelet.printRaw('unable to retrieve container logs for containerd://5\n')
  kubelet.print('x'.repeat(200_000), 'next')
  see()
  await followed()
  await expect
    .poll(async () => {
      await clock.advance(1_000)
      return (await texts(10)).map(({ length }) => length)
    }, PATIENT)
    .toEqual([16_384 - '2026-01-01T00:00:00.100Z '.length, 4])
})

test('many lines are stored in their order, in few writes', async () => {
  const texts = Array.from({ length: 1_000 }, (_, index) => `line ${index}`)
  kubelet.print(...texts)
  let writes = 0
  const append = logs.append.bind(logs)
  logs.append = (lines) => {
    writes++
    return append(lines)
  }
  see()
  await kept(...texts)
  expect(writes).toBeLessThanOrEqual(10)
})

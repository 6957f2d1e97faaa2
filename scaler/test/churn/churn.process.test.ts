import { expect, test } from 'vitest'
import { runs } from '../contract/processes.ts'
import { KINDS } from './client.ts'
import { Ledger } from './ledger.ts'
import { Service, type Event } from './service.ts'
import { createWorld, type World } from './world.ts'

/** Services under load all the time, and what befalls their targets in turn. */
const CHURNED: Readonly<Record<string, readonly Event[]>> = {
  red: ['sleep', 'crashIdle', 'replaceWaking', 'crashBusy', 'replace'],
  green: ['crashBusy', 'replaceWaking', 'sleep', 'replace', 'crashIdle'],
  // Two replicas, of which one crashes. What is kept at two does not sleep.
  twins: ['crashIdle', 'replace'],
}
const EVENTS_EACH = 60
/** Requests at a time, for each service. */
const WORKERS = 3
/** Between two events the target has been awake and has served this many. */
const SERVED_BETWEEN = 20
/** Of the service that falls asleep by itself after each burst of requests. */
const NAPS = 40
/** Lost requests that are shown where one is lost for ever and the test runs out of time. */
const SHOWN = 20

test(
  'targets that sleep, wake, crash and are replaced under load lose no request and repeat none',
  { timeout: 240_000 },
  async ({ onTestFailed, onTestFinished }) => {
    const ledger = new Ledger()
    const world = await createWorld(ledger)
    onTestFailed(() => console.log('lost:', ledger.lost.slice(0, SHOWN)))
    onTestFinished(() => world[Symbol.asyncDispose]())
    const churned = Object.entries(CHURNED).map(([name, events]) =>
      churn(new Service(name, world, ledger), events),
    )
    const befallen = (await Promise.all([...churned, nap(new Service('dozer', world, ledger), world)])).flat()
    await world[Symbol.asyncDispose]()

    const { lost, duplicated, unseen, requests } = ledger
    console.log(`${requests} requests, ${lost.length} lost, ${duplicated.length} duplicated`)
    expect({ lost, duplicated, unseen }).toEqual({ lost: [], duplicated: [], unseen: [] })
    expect(befallen).toHaveLength(3 * EVENTS_EACH + NAPS)
    // Each of them was followed by a start.
    expect(world.pids.size).toBeGreaterThan(befallen.length)
    expect([...world.pids.values()].filter(runs)).toEqual([])
  },
)

async function churn(service: Service, events: readonly Event[]): Promise<Event[]> {
  const befallen: Event[] = []
  const loads = Array.from({ length: WORKERS }, (_, worker) =>
    service.load([...KINDS.slice(worker), ...KINDS.slice(0, worker)]),
  )
  while (befallen.length < EVENTS_EACH) {
    await service.served(SERVED_BETWEEN)
    const event = events[befallen.length % events.length]!
    await service.befall(event)
    befallen.push(event)
  }
  await service.served(SERVED_BETWEEN)
  service.finish()
  await Promise.all(loads)
  return befallen
}

async function nap(service: Service, world: World): Promise<Event[]> {
  const befallen: Event[] = []
  while (befallen.length < NAPS) {
    const asleep = world.asleep(world.target(service.name))
    await Promise.all(KINDS.map((kind) => service.request(kind)))
    await asleep
    befallen.push('sleep')
  }
  return befallen
}

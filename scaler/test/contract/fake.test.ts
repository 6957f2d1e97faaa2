import { FakeDriver } from '../../src/drivers/fake/index.ts'
import type { Endpoint, TargetKey } from '../../src/types.ts'
import { describeDriverContract, type DriverUnderTest } from './driver-contract.ts'

/** The fake driver starts nothing by itself, so this one simulates the effect of each scale call on the kind of target. */
function start(): Promise<DriverUnderTest> {
  const driver = new FakeDriver()
  const broken = new Set<TargetKey>()
  const held = new Set<TargetKey>()
  const alive = new Map<TargetKey, Endpoint>()
  const wanted = new Set<TargetKey>()
  let keys = 0

  function wake(key: TargetKey): void {
    if (broken.has(key)) driver.fail(key, { code: 'BROKEN', message: 'it is broken' })
    else if (!held.has(key) && !alive.has(key)) alive.set(key, driver.ready(key)[0]!)
  }

  driver.onScale = ({ key, replicas }) => {
    if (replicas === 0) {
      wanted.delete(key)
      alive.delete(key)
    } else {
      wanted.add(key)
      wake(key)
    }
  }

  return Promise.resolve({
    driver,
    target: () => `app-${++keys}`,
    failing() {
      const key = `app-${++keys}`
      broken.add(key)
      return { key, code: 'BROKEN', mend: () => void broken.delete(key) }
    },
    slow() {
      const key = `app-${++keys}`
      held.add(key)
      const open = (): void => {
        held.delete(key)
        if (wanted.has(key)) wake(key)
      }
      return { key, asked: Promise.resolve(), open }
    },
    crash({ id }) {
      const key = [...alive.keys()].find((alike) => alive.get(alike)!.id === id)!
      alive.delete(key)
      driver.crash(key)
    },
    answers: ({ id }) => Promise.resolve([...alive.values()].some((endpoint) => endpoint.id === id)),
    gone: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  })
}

describeDriverContract('fake', { start, maxReplicas: 1 })

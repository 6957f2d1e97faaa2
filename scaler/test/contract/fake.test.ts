import * as vitest from 'vitest'
import { FakeDriver } from '../../src/drivers/fake/index.ts'
import type { Endpoint, TargetKey } from '../../src/types.ts'
import { describeDriverContract, type DriverUnderTest } from '../../src/contract/index.ts'
import { News } from '../../src/contract/news.ts'

/** The fake driver starts nothing by itself, so this one simulates the effect of each scale call on the kind of target. */
async function start(): Promise<DriverUnderTest> {
  const driver = new FakeDriver()
  const news = await News.of(driver)
  const broken = new Set<TargetKey>()
  const held = new Set<TargetKey>()
  const wanted = new Map<TargetKey, number>()
  let keys = 0

  function fill(key: TargetKey): void {
    if (broken.has(key)) driver.fail(key, { code: 'BROKEN', message: 'it is broken' })
    else if (!held.has(key)) driver.grow(key, wanted.get(key) ?? 0)
  }
  const keyOf = ({ id }: Endpoint): TargetKey => id.replace(/-\d+$/, '')

  driver.onScale = ({ key, replicas }) => {
    wanted.set(key, replicas)
    if (replicas > 0) fill(key)
  }

  return {
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
        fill(key)
      }
      return { key, asked: Promise.resolve(), open }
    },
    crash(endpoint) {
      const key = keyOf(endpoint)
      driver.crash(key, endpoint.id)
      if (news.ready(key).length > 0) setImmediate(() => fill(key))
    },
    answers: (endpoint) => Promise.resolve(news.ready(keyOf(endpoint)).includes(endpoint.id)),
    gone: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => news[Symbol.asyncDispose](),
  }
}

describeDriverContract('fake', { start, maxReplicas: 3 }, vitest)

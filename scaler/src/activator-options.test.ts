import { describe, expect, test } from 'vitest'
import type { ActivatorOptions } from './activator-options.ts'
import { createActivator } from './create-activator.ts'
import { createMemoryCoordination } from './coordination/memory.ts'
import { FakeDriver, settle } from './drivers/fake/index.ts'
import type { Driver } from './types.ts'

const create = (options: object): Promise<unknown> =>
  createActivator({ driver: new FakeDriver(), ...options } as ActivatorOptions)

describe('createActivator refuses', () => {
  test.each<[name: string, options: object, message: string]>([
    [
      'a policy',
      { policy: { idleTimeout: -1 } },
      'policy.idleTimeout must be a number of at least 0 ms, but is -1.',
    ],
    [
      'a policy',
      { policy: { concurrency: '5' } },
      "policy.concurrency must be a whole number of at least 0, but is '5'.",
    ],
    ['a policy', { policy: null }, 'policy must be an object or a function, but is null.'],
    [
      'a field',
      { policy: { idleTimout: 5 } },
      'policy.idleTimout does not exist. The fields are concurrency, ',
    ],
    [
      'a field',
      { policy: { scaling: { target: 5 } } },
      'policy.scaling.target does not exist. The fields are ',
    ],
    [
      'wakes',
      { wakes: { atOnce: 0 } },
      'wakes.atOnce must be a whole number of at least 1, or Infinity, but is 0.',
    ],
    [
      'wakes',
      { wakes: { waiting: Number.NaN } },
      'wakes.waiting must be a whole number of at least 0, or Infinity',
    ],
    [
      'wakes',
      { wakes: { turnLimit: '2s' } },
      "wakes.turnLimit must be a number of at least 1 ms, but is '2s'.",
    ],
    ['wakes', { wakes: { groupOf: 'owner' } }, "wakes.groupOf must be a function, but is 'owner'."],
    ['wakes', { wakes: { atonce: 1 } }, 'wakes.atonce does not exist. The fields are atOnce, '],
    [
      'awake',
      { awake: { most: -1 } },
      'awake.most must be a whole number of at least 0, or Infinity, but is -1.',
    ],
    [
      'awake',
      { awake: { mostPerGroup: '3' } },
      "awake.mostPerGroup must be a whole number of at least 0, or Infinity, or a function, but is '3'.",
    ],
    ['awake', { awake: 5 }, 'awake must be an object, but is 5.'],
    [
      'no driver',
      { driver: undefined },
      'driver must be a driver, such as createProcessDriver(…), but is undefined.',
    ],
    [
      'half a driver',
      { driver: { name: 'x', scale: () => undefined } },
      'driver.watch must be a function, but is undefined.',
    ],
    ['keepAwake', { keepAwake: true }, 'keepAwake must be a function, but is true.'],
    ['an instance', { instance: '' }, "instance must be a string that is not empty, but is ''."],
    ['a coordination', { coordination: {} }, 'coordination.update must be a function, but is undefined.'],
  ])('%s: %o', async (_name, options, message) => {
    const error: unknown = await create(options).catch((reason: unknown) => reason)
    expect((error as Error).message).toContain(message)
    expect((error as Error).name).toBe(/number/.test(message) ? 'RangeError' : 'TypeError')
  })

  test('no argument at all', async () => {
    await expect(createActivator(undefined as unknown as ActivatorOptions)).rejects.toThrow(
      'The argument of createActivator must be an object with a `driver`, but is undefined.',
    )
  })

  test('a driver whose watch cannot be ended', async () => {
    const driver = new FakeDriver()
    driver.watch = () => Promise.resolve({} as AsyncDisposable)
    await expect(createActivator({ driver })).rejects.toThrow('[Symbol.asyncDispose]')
  })

  test('a second activator of one instance as long as the first one is open', async () => {
    const coordination = createMemoryCoordination()
    const options = { driver: new FakeDriver(), coordination, instance: 'a' }
    const first = await createActivator(options)
    await expect(createActivator(options)).rejects.toThrow("The instance 'a' has an activator already")
    const other = await createActivator({ ...options, instance: 'b' })
    await other.close()
    await first.close()
    await (await createActivator(options)).close()
  })

  test('an instance no longer when its activator could not be created', async () => {
    const coordination = createMemoryCoordination()
    const broken: Driver = {
      name: 'x',
      scale: () => Promise.resolve(),
      watch: () => Promise.reject(new Error('no')),
    }
    const options = { coordination, instance: 'a' }
    await expect(createActivator({ ...options, driver: broken })).rejects.toThrow('no')
    await (await createActivator({ ...options, driver: new FakeDriver() })).close()
  })
})

test('options that are undefined have their defaults', async () => {
  const driver = new FakeDriver()
  const activator = await createActivator({
    driver,
    policy: { concurrency: undefined, scaling: { targetRate: undefined } },
    wakes: { atOnce: undefined, groupOf: undefined },
    awake: { most: undefined, mostPerGroup: undefined, groupOf: undefined, pressure: undefined },
    keepAwake: undefined,
    coordination: createMemoryCoordination(),
    instance: undefined,
    clock: undefined,
    observer: undefined,
  })
  const asked = [activator.acquire('app'), activator.acquire('app')]
  await settle()
  driver.ready('app')
  for (const lease of await Promise.all(asked)) lease.release()
  await activator.close()
})

import { describe, expect, test, vi } from 'vitest'
import type { ActivatorOptions } from './activator-options.ts'
import { createActivator } from './create-activator.ts'
import { FakeClock, FakeDriver, settle } from './drivers/fake/index.ts'
import type { Observer } from './observer.ts'
import type { AwakeLimits } from './awake-room.ts'

/** The error of a request. */
async function refusal(options: Partial<ActivatorOptions>): Promise<unknown> {
  const activator = await createActivator({ driver: new FakeDriver(), clock: new FakeClock(), ...options })
  return activator.acquire('app').catch((error: unknown) => error)
}

/** Programs can throw anything. */
const rejecting = (value: unknown): Promise<never> => Promise.reject(value as Error)

describe('a rejection that is no Error', () => {
  test.each([undefined, null, 'full'])(
    'of driver.scale (%o) fails the wake with a clear message',
    async (value) => {
      const driver = new FakeDriver()
      driver.scale = () => rejecting(value)
      const error = await refusal({ driver })
      const text = typeof value === 'string' ? `'${value}'` : String(value)
      expect(error).toMatchObject({
        failure: {
          code: 'SCALER_SCALE_FAILED',
          message: `driver.scale has thrown ${text}, which is not an Error.`,
        },
      })
    },
  )

  test.each<['wakes' | 'awake', keyof AwakeLimits]>([
    ['wakes', 'groupOf'],
    ['awake', 'groupOf'],
    ['awake', 'mostPerGroup'],
  ])('of %s.%s fails the wake and names the function', async (option, name) => {
    const error = await refusal({ [option]: { [name]: () => rejecting(undefined) } })
    expect(error).toMatchObject({
      code: 'SCALER_TARGET_FAILED',
      failure: {
        code: 'SCALER_GROUP_FAILED',
        message: expect.stringMatching(
          `^${option}.${name}\\('.*'\\) failed: ${option}.${name} has thrown undefined`,
        ) as string,
      },
    })
  })

  test('of keepAwake is reported as an Error, and the target stays awake', async () => {
    const [driver, clock] = [new FakeDriver(), new FakeClock()]
    const errors: Error[] = []
    const activator = await createActivator({
      driver,
      clock,
      policy: { idleTimeout: 1_000 },
      keepAwake: () => rejecting(null),
      observer: { error: (error) => void errors.push(error) },
    })
    driver.ready('app')
    await clock.advance(1_000)
    expect(errors[0]?.message).toBe('keepAwake has thrown null, which is not an Error.')
    expect(activator.stats('app')?.phase).toBe('awake')
  })
})

describe('an observer that throws', () => {
  const wakeWith = async (observer: Observer): Promise<void> => {
    const [driver, clock] = [new FakeDriver(), new FakeClock()]
    const activator = await createActivator({
      driver,
      clock,
      observer,
      policy: { concurrency: 1, idleTimeout: 1_000 },
    })
    for (const key of ['one', 'two']) {
      const asked = activator.acquire(key)
      await settle()
      driver.ready(key)
      const lease = await asked
      expect(activator.stats(key)).toMatchObject({ phase: 'awake', inFlight: 1 })
      lease.release()
      expect(activator.stats(key)).toMatchObject({ inFlight: 0 })
    }
    driver.fail('two', { code: 'X', message: 'x' })
    await clock.advance(1_000)
    await settle()
    expect(activator.stats('one')).toBeUndefined()
    await activator.close()
  }
  const oops = (): never => {
    throw new Error('oops')
  }

  test('in any hook loses no lease, and the hook `error` is told', async () => {
    const errors: string[] = []
    const hooks = {
      waking: oops,
      awake: oops,
      asleep: oops,
      failed: oops,
      granted: oops,
      refused: oops,
      scaled: oops,
    }
    await wakeWith({ ...hooks, error: (error) => void errors.push(error.message) })
    expect(errors.length).toBeGreaterThan(5)
    expect(new Set(errors)).toEqual(new Set(['oops']))
  })

  test('by a promise is reported too', async () => {
    const errors: Error[] = []
    const waking = (): void => void 0
    await wakeWith({ waking, granted: () => rejecting(undefined), error: (error) => void errors.push(error) })
    expect(errors[0]?.message).toBe('observer.granted has thrown undefined, which is not an Error.')
  })

  test('in the hook `error` itself makes a warning of the process', async () => {
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    await wakeWith({ granted: oops, error: oops })
    expect(warn).toHaveBeenCalledWith(expect.objectContaining({ message: 'oops' }))
    warn.mockRestore()
  })
})

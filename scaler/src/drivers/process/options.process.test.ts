import { expect, test, vi } from 'vitest'
import { News } from '../../contract/news.ts'
import type { Failure } from '../../types.ts'
import { createProcessDriver } from './driver.ts'
import type { ProcessDriverOptions, ProcessSpec } from './options.ts'

/** Resolves to the failure of a start. */
async function failureOf(options: ProcessDriverOptions): Promise<Failure | undefined> {
  await using driver = createProcessDriver(options)
  await using news = await News.of(driver)
  await driver.scale('app', 1, { signal: new AbortController().signal })
  return (await news.until('app', ({ failure }) => failure !== undefined)).failure
}

test.each<[options: object | undefined, message: string]>([
  [undefined, 'The argument of createProcessDriver must be an object with a `command`, but is undefined.'],
  [{}, 'command must be a function, but is undefined.'],
  [{ stopTimeout: -1 }, 'stopTimeout must be a number of at least 0 ms, but is -1.'],
  [{ readiness: { path: 'x' } }, "readiness.path must be a path that begins with /, but is 'x'."],
  [
    { readiness: { status: '200' } },
    "readiness.status must be a whole number of at least 100, but is '200'.",
  ],
  [{ onOutput: console }, 'onOutput must be a function, but is an object.'],
])('createProcessDriver refuses %o', (options, message) => {
  const command = (): undefined => undefined
  const given = options && Object.keys(options).length > 0 ? { command, ...options } : options
  expect(() => createProcessDriver(given as ProcessDriverOptions)).toThrow(message)
})

test.each<[what: string, command: () => unknown, message: string]>([
  ['throws undefined', () => throws(undefined), '`command` has thrown undefined, which is not an Error.'],
  ['throws an Error', () => throws(new Error('no such app')), 'no such app'],
  ['is asynchronous', () => Promise.resolve(), '`command` must be synchronous, but has returned a promise.'],
  [
    'returns no command',
    () => ({ listen: 'port' }),
    'command must be a string that is not empty, but is undefined.',
  ],
  ['returns no place', () => ({ command: 'true' }), "listen must be 'port' or 'socket', but is undefined."],
])('a `command` that %s fails the start with a clear message', async (_what, command, message) => {
  const failure = await failureOf({ command: command as () => ProcessSpec })
  expect(failure).toMatchObject({
    code: 'PROCESS_NOT_STARTED',
    message: expect.stringContaining(message) as string,
  })
})

test('an `onOutput` that throws makes a warning, and does not end the program', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
  const failure = await failureOf({
    command: () => ({ command: process.execPath, args: ['-e', 'console.error("x")'], listen: 'port' }),
    onOutput: () => throws(null),
  })
  expect(failure?.code).toBe('PROCESS_EXITED')
  expect(warn.mock.calls[0]?.[0]).toMatchObject({
    message: 'onOutput has thrown null, which is not an Error.',
  })
  warn.mockRestore()
})

function throws(value: unknown): never {
  throw value as Error
}

import { ScalerError } from '@fp/scaler'
import { expect, test } from 'vitest'
import { openChannel } from '../../../test/channel.ts'
import { fakeGate } from '../../../test/fake-gate.ts'
import { FpError } from '../../errors.ts'
import type { AppSpec } from '../../runtime/runtime.ts'
import { TargetFailed } from '../../runtime/targets.ts'

const SPEC: AppSpec = {
  key: 'a.1.1',
  appId: 'a',
  ownerId: 'u_ann',
  version: 1,
  files: { 'app.py': 'print("ü\u2028")\n' },
  assets: [],
  artifacts: [],
  entrypoint: 'app:app',
  storage: false,
  env: { NAME: 'värde' },
  limits: {},
  sequence: -1,
}
const signal = new AbortController().signal

test('every method of the gate gets its arguments, and its result comes back', async () => {
  const gate = fakeGate()
  const { client } = await openChannel(gate)
  expect(client.facts).toEqual(gate.facts)
  await client.targets.wake('a.1.1')
  expect(await client.targets.sleep('a.1.1')).toBe(true)
  await client.targets.retire('a.1.1')
  expect(await client.targets.phases(['a.1.1', 'b.1.1'])).toEqual(['awake', 'awake'])
  expect(await client.trial.check(SPEC, { signal })).toEqual({ ok: true })
  expect(await client.logs.tail('a', { lines: 7 })).toEqual(await gate.logs.tail('a', { lines: 7 }))
  await client.logs.note('a', 'a\nb')
  await client.cleanup.removeApp('a')
  await client.forgetRoute('a')
  expect(await client.storageProblem()).toBeUndefined()
  expect(await client.status()).toEqual(await gate.status())
  expect(await client.metrics()).toBe('# TYPE a counter\na 1\n')
  expect(gate.called).toEqual([
    ['wake', 'a.1.1'],
    ['sleep', 'a.1.1'],
    ['retire', 'a.1.1'],
    ['phases', ['a.1.1', 'b.1.1']],
    ['check', SPEC],
    ['tail', 'a', { lines: 7 }],
    ['tail', 'a', { lines: 7 }],
    ['note', 'a', 'a\nb'],
    ['removeApp', 'a'],
    ['forgetRoute', 'a'],
    ['storageProblem'],
    ['status'],
    ['status'],
    ['metrics'],
  ])
  const other = await openChannel(fakeGate({ storageProblem: 'no ext4' }))
  expect(await other.client.storageProblem()).toBe('no ext4')
})

test('a trial with assets is refused before it is sent: their contents would be lost', async () => {
  const gate = fakeGate()
  const { client } = await openChannel(gate)
  const asset = { path: 'a.png', bytes: 1, sha256: 'x', read: async () => Buffer.from('a') }
  await expect(client.trial.check({ ...SPEC, assets: [asset] }, { signal })).rejects.toThrow('no assets')
  expect(gate.called).toEqual([])
})

/** The error with which a wake rejects at the other end. */
async function rejected(error: Error): Promise<Error> {
  const { client } = await openChannel(fakeGate({ wake: () => Promise.reject(error) }))
  return client.targets.wake('a.1.1').then(
    () => expect.unreachable(),
    (reason: Error) => reason,
  )
}

test('an FpError arrives with its code, text, details, headers and the scaler’s code that is its cause', async () => {
  const cause = new ScalerError('SCALER_RETIRED', 'Replaced.', { retryAfter: 0 })
  const sent = new FpError('FP_UNAVAILABLE', 'Try again.', {
    details: { limit: 5, list: [null] },
    headers: { 'retry-after': '5' },
    cause,
  })
  const error = await rejected(sent)
  expect(error).toBeInstanceOf(FpError)
  expect(error).toMatchObject({
    code: 'FP_UNAVAILABLE',
    statusCode: 503,
    message: 'Try again.',
    details: { limit: 5, list: [null] },
    headers: { 'retry-after': '5' },
  })
  expect(error.cause).toBeInstanceOf(ScalerError)
  expect(error.cause).toMatchObject({ code: 'SCALER_RETIRED' })
  const plain = await rejected(new FpError('FP_INTERNAL', 'No.', { cause: new Error('with a secret') }))
  expect(plain).toMatchObject({ details: undefined, headers: {}, cause: undefined })
})

test('a failed target arrives with its report, any other error as an error with its text', async () => {
  const failure = { code: 'FP_APP_CRASHED', message: 'KeyError', traceback: 'T', file: 'app.py', line: 2 }
  const failed = await rejected(new TargetFailed(failure))
  expect(failed).toBeInstanceOf(TargetFailed)
  expect(failed).toMatchObject({ failure, message: 'KeyError' })
  const other = await rejected(new RangeError('out of range'))
  expect(other).toBeInstanceOf(Error)
  expect(other).not.toBeInstanceOf(FpError)
  expect(other.message).toBe('out of range')
})

test('an abort rejects with the signal’s own reason and aborts the work in the gate', async () => {
  const begun = Promise.withResolvers<AbortSignal>()
  const gate = fakeGate({
    wake(_key, atGate) {
      begun.resolve(atGate!)
      return new Promise(() => undefined)
    },
  })
  const { client } = await openChannel(gate)
  const stop = new AbortController()
  const waking = client.targets.wake('a.1.1', { signal: stop.signal })
  const atGate = await begun.promise
  expect(atGate.aborted).toBe(false)
  const reason = new Error('The deployment was stopped.')
  const aborted = new Promise((resolve) => atGate.addEventListener('abort', resolve))
  stop.abort(reason)
  await expect(waking).rejects.toBe(reason)
  await aborted
  // A request whose signal is already aborted is not sent.
  await expect(client.targets.wake('b.1.1', { signal: stop.signal })).rejects.toBe(reason)
  expect(await client.targets.phases([])).toEqual([])
  expect(gate.called).toEqual([['phases', []]])
})

test('work that has ended is not aborted when its connection serves the next request', async () => {
  const signals: AbortSignal[] = []
  const { client } = await openChannel(fakeGate({ wake: async (_key, atGate) => void signals.push(atGate!) }))
  for (let n = 0; n < 3; n++) await client.targets.wake('a.1.1')
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false])
})

test('calls during a restart of the gate wait for it', async () => {
  const gate = fakeGate()
  const channel = await openChannel(gate)
  await channel.client.status()
  await channel.stop()
  const asked = [channel.client.targets.wake('a.1.1'), channel.client.metrics(), channel.client.status()]
  const next = fakeGate()
  await channel.restart(next)
  await Promise.all(asked)
  expect(next.called.map(([name]) => name).sort()).toEqual(['metrics', 'status', 'wake'])
})

test('calls that a gate had not answered when it ended are sent to the next one', async () => {
  const begun = Promise.withResolvers<void>()
  const channel = await openChannel(
    fakeGate({
      wake() {
        begun.resolve()
        return new Promise(() => undefined)
      },
    }),
  )
  await channel.client.status()
  const waking = channel.client.targets.wake('a.1.1')
  await begun.promise
  await channel.stop()
  const next = fakeGate()
  await channel.restart(next)
  await waking
  expect(next.called).toContainEqual(['wake', 'a.1.1'])
})

test('a gate that does not come back leads to an error after the patience', async () => {
  const channel = await openChannel(fakeGate(), { patience: 0 })
  await channel.stop()
  await expect(channel.client.status()).rejects.toMatchObject({
    code: 'FP_UNAVAILABLE',
    headers: { 'retry-after': '1' },
  })
})

test('an unknown method is refused', async () => {
  const { socket } = await openChannel(fakeGate())
  const { request } = await import('node:http')
  const { json } = await import('node:stream/consumers')
  const answer = await new Promise((resolve) =>
    request({ socketPath: socket, path: '/toString', method: 'POST' }, (response) =>
      resolve(json(response)),
    ).end('[]'),
  )
  expect(answer).toEqual({ error: { type: 'other', message: 'There is no method toString.' } })
})

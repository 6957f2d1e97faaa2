import { FakeClock } from '@fp/scaler/fake'
import type { V1Pod, V1PodStatus, V1Secret } from '@kubernetes/client-node'
import { pino } from 'pino'
import { gunzipSync } from 'node:zlib'
import { beforeEach, expect, test } from 'vitest'
import type { CheckResult } from '../runtime.ts'
import { checkApp } from './check.ts'
import { START_REQUEST_KEY } from './pod-spec.ts'
import { MemoryStore, refusal } from './test/memory-store.ts'
import { SETTINGS, specOf } from './test/specs.ts'

const SPEC = specOf('trial1.1.0')
let clock: FakeClock
let store: MemoryStore
let ofPool: () => Promise<CheckResult | undefined>
let stop: AbortController

beforeEach(() => {
  clock = new FakeClock()
  store = new MemoryStore()
  ofPool = () => Promise.resolve(undefined)
  stop = new AbortController()
})

function check(spec = SPEC): Promise<CheckResult> {
  const log = pino({ level: 'silent' })
  const pool = { check: () => ofPool() }
  return checkApp(spec, stop.signal, { store, settings: SETTINGS, pool, clock, log })
}
/** Resolves once its pod is read. */
async function checkedPod(): Promise<V1Pod> {
  await expect.poll(() => clock.pending).toBe(1)
  return store.all<V1Pod>('pods')[0]!
}
async function checkedAs(status: V1PodStatus): Promise<CheckResult> {
  const checked = check()
  store.put('pods', { ...(await checkedPod()), status })
  await clock.advance(200)
  return checked
}
const ended = (exitCode: number, message?: string, reason = 'Error'): V1PodStatus => ({
  phase: exitCode === 0 ? 'Succeeded' : 'Failed',
  containerStatuses: [
    {
      name: 'app',
      image: '',
      imageID: '',
      ready: false,
      restartCount: 0,
      state: { terminated: { exitCode, reason, ...(message ? { message } : {}) } },
    },
  ],
})

test('the pool is tried first', async () => {
  ofPool = () => Promise.resolve({ ok: true })
  expect(await check()).toEqual({ ok: true })
  expect(store.asked).toEqual([])
})

test('if no pod waits, the app is loaded in a new pod, which has its start request and ends', async () => {
  const checked = check()
  const pod = await checkedPod()
  const [secret] = store.all<V1Secret>('secrets')
  expect(secret!.metadata!.ownerReferences).toMatchObject([{ kind: 'Pod', uid: pod.metadata!.uid }])
  const request = gunzipSync(Buffer.from(secret!.data![START_REQUEST_KEY]!, 'base64')).toString()
  expect(JSON.parse(request)).toMatchObject({ mode: 'check', files: SPEC.files, env: SPEC.env })
  expect(pod.spec).toMatchObject({
    restartPolicy: 'Never',
    volumes: expect.arrayContaining([
      expect.objectContaining({
        secret: {
          secretName: secret!.metadata!.name,
          items: [{ key: START_REQUEST_KEY, path: 'request.json.gz' }],
          defaultMode: 0o444,
        },
      }),
    ]) as unknown,
  })
  expect(pod.spec!.containers[0]).not.toHaveProperty('startupProbe')
  await clock.advance(5_000)
  store.put('pods', { ...pod, status: ended(0, '{"ok":true,"kind":"fastapi"}') })
  await clock.advance(200)
  expect(await checked).toEqual({ ok: true })
  expect(store.names('pods')).toEqual([])
})

test("the runner's termination message says why it does not load", async () => {
  const report = { code: 'FP_APP_IMPORT_FAILED', message: 'No', traceback: 'Trace', file: 'app.py', line: 2 }
  expect(await checkedAs(ended(1, JSON.stringify(report)))).toEqual({ ok: false, failure: report })
  expect(store.names('pods')).toEqual([])
})

test.each([
  ['killed for want of memory', ended(137, undefined, 'OOMKilled'), 'FP_APP_OUT_OF_MEMORY'],
  ['ended without a word', ended(3), 'FP_APP_CRASHED'],
  ['evicted', { phase: 'Failed', reason: 'Evicted', message: 'disk pressure' }, 'FP_APP_EVICTED'],
  [
    'on no node',
    { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' }] },
    'FP_CLUSTER_FULL',
  ],
])('one that is %s says so', async (_what, status, code) => {
  expect(await checkedAs(status)).toMatchObject({ ok: false, failure: { code } })
})

test('the wait ends when somebody deletes the pod', async () => {
  const checked = check()
  store.drop('pods', (await checkedPod()).metadata!.name!)
  await clock.advance(200)
  expect(await checked).toMatchObject({ ok: false, failure: { code: 'FP_APP_EVICTED' } })
})

test('an aborted check leaves nothing behind', async () => {
  const checked = check()
  await checkedPod()
  stop.abort(new Error('not wanted any more'))
  await expect(checked).rejects.toThrow('not wanted any more')
  expect([store.names('pods'), clock.pending]).toEqual([[], 0])
})

test.each([
  [refusal(0, 'ECONNREFUSED 10.0.0.1'), 'FP_CLUSTER_POD', 'does not answer'],
  [refusal(403, 'pods "x" is forbidden: exceeded quota: fp-apps'), 'FP_CLUSTER_FULL', 'no room'],
  [refusal(403, 'violates PodSecurity'), 'FP_CLUSTER_POD', 'refuses it'],
])('a cluster that says %s is a failure, in words that are for owners', async (error, code, words) => {
  store.before = (call, kind) => {
    if (call === 'create' && kind === 'pods') throw error
  }
  const result = await check()
  expect(result).toMatchObject({
    ok: false,
    failure: { code, message: expect.stringContaining(words) as string },
  })
  expect(JSON.stringify(result)).not.toContain(error.message)
})

test('a pod without its Secret does not stay', async () => {
  store.before = (call, kind) => {
    if (call === 'create' && kind === 'secrets') throw refusal(500)
  }
  expect(await check()).toMatchObject({ ok: false })
  expect(store.names('pods')).toEqual([])
})

test('the result is returned even if its pod cannot be deleted', async () => {
  store.before = (call) => {
    if (call === 'remove') throw refusal(500)
  }
  expect(await checkedAs(ended(0))).toEqual({ ok: true })
})

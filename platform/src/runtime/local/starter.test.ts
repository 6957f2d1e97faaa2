import { pino } from 'pino'
import { beforeEach, expect, test } from 'vitest'
import { specOf } from '../kubernetes/test/specs.ts'
import { DEFAULT_LIMITS, toWire } from '../limits.ts'
import type { AppSpec } from '../runtime.ts'
import type { InstanceEvent, IsolationReport, StartRequest } from './protocol.ts'
import { createStarter } from './starter.ts'

const STORAGE = 2 ** 30
let requests: StartRequest[]
let send: (event: InstanceEvent) => void
let attached: string[]
let report: IsolationReport

beforeEach(() => {
  requests = []
  attached = []
  report = { mechanisms: {}, missing: [], minimum: true }
})

function start(parts: Partial<AppSpec>, allowUnsandboxed = false): Promise<void> {
  const starter = createStarter({
    manager: {
      report,
      async start(request, onEvent) {
        requests.push(request)
        send = onEvent
      },
    },
    folders: { of: async () => '/apps/a/v1' },
    logs: { prepare: async () => '/logs/a.log' },
    storage: {
      attach: async (appId, uid) => {
        attached.push(`${appId} ${uid}`)
        return { device: '/dev/loop7', release: async () => void attached.pop() }
      },
    },
    storageBytes: STORAGE,
    databases: undefined,
    limits: DEFAULT_LIMITS,
    allowUnsandboxed,
    log: pino({ level: 'silent' }),
  })
  const spec = { ...specOf('a.1.0'), ...parts }
  return starter(spec, {
    id: 'a.1.0-1',
    purpose: { mode: 'serve', socket: '/run/a' },
    onEvent: () => undefined,
  })
}

test('a start has the default limits, except for those of the app', async () => {
  await start({})
  await start({ limits: { cpus: 0.5, memoryBytes: 5 } })
  expect(requests.map(({ limits }) => limits)).toEqual([
    toWire(DEFAULT_LIMITS),
    toWire({ ...DEFAULT_LIMITS, cpus: 0.5, memoryBytes: 5 }),
  ])
  expect(requests[0]).toMatchObject({
    id: 'a.1.0-1',
    log_tag: '1.0-1',
    mode: 'serve',
    socket: '/run/a',
    uid: 200_007,
  })
})

test('storage is attached until the app has mounted it, and one file may fill it', async () => {
  await start({ storage: true })
  expect(requests[0]).toMatchObject({ storage: '/dev/loop7', limits: { file_bytes: STORAGE } })
  send({ event: 'phase', id: 'a.1.0-1', phase: 'forked', ms: 1 })
  expect(attached).toEqual(['a 200007'])
  send({ event: 'phase', id: 'a.1.0-1', phase: 'sandboxed', ms: 2 })
  expect(attached).toEqual([])
})

test('an app with an artifact is refused, as nothing can mount it', async () => {
  const artifacts = [{ kind: 'python-packages', digest: 'ab12' }] as const
  await expect(start({ artifacts })).rejects.toThrow(
    'The app needs the artifact python-packages ab12, which this runtime cannot mount. Deploy the app without it.',
  )
  expect(requests).toEqual([])
})

test('no app runs if the sandbox lacks its minimum, unless the admin allows it', async () => {
  report = {
    ...report,
    minimum: false,
    missing: [{ mechanism: 'seccomp', why: 'no kernel', effect: 'bad' }],
  }
  await expect(start({})).rejects.toThrow('the sandbox lacks seccomp (no kernel)')
  await start({}, true)
  expect(requests).toHaveLength(1)
})

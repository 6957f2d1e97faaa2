import type { PlatformEvent } from '../src/events.ts'
import type { AppAnswer, AppRequest, Gate } from '../src/gate/gate.ts'

/** What was called of a gate, and with what. */
export type Called = readonly [method: string, ...args: unknown[]]

export interface FakeGate extends Gate {
  readonly called: Called[]
  emit(event: PlatformEvent): void
  /** Listeners of events. */
  listeners(): number
}

/** A gate without apps. Every method keeps its arguments; `parts` replace what it does then. */
export function fakeGate(
  parts: {
    wake?: (key: string, signal: AbortSignal | undefined) => Promise<void>
    check?: Gate['trial']['check']
    call?: (request: AppRequest, signal: AbortSignal) => Promise<AppAnswer>
    storageProblem?: string
  } = {},
): FakeGate {
  const called: Called[] = []
  const listeners = new Set<(event: PlatformEvent) => void>()
  const keep = <T>(name: string, args: unknown[], result: T): T => {
    called.push([name, ...args])
    return result
  }
  return {
    called,
    emit: (event) => listeners.forEach((listener) => listener(event)),
    listeners: () => listeners.size,
    facts: {
      port: 8080,
      mongodbUri: 'mongodb://root:secret@/fp',
      appDatabases: { host: 'db:1', options: { tls: 'true' } },
      databaseTempDir: null,
      capabilities: {
        appsOutlivePlatform: false,
        sharedByReplicas: false,
        appsOnThisMachine: true,
        appsOnLoopback: false,
        mustReplaceOldSecrets: false,
      },
    },
    targets: {
      wake: async (key, { signal } = {}) => keep('wake', [key], await parts.wake?.(key, signal)),
      sleep: async (key) => keep('sleep', [key], true),
      retire: async (key) => keep('retire', [key], undefined),
      phases: async (keys) =>
        keep(
          'phases',
          [keys],
          keys.map(() => 'awake' as const),
        ),
    },
    trial: {
      check: async (spec, options) =>
        keep('check', [spec], (await parts.check?.(spec, options)) ?? { ok: true }),
    },
    logs: {
      tail: async (appId, options) =>
        keep(
          'tail',
          [appId, options],
          [{ time: null, stream: 'stdout', instance: 'i', version: 1, text: 'ü\u2028\n' }],
        ),
      note: async (appId, text) => keep('note', [appId, text], undefined),
    },
    cleanup: { removeApp: async (appId) => keep('removeApp', [appId], undefined) },
    forgetRoute: async (appId) => keep('forgetRoute', [appId], undefined),
    storageProblem: async () => keep('storageProblem', [], parts.storageProblem),
    async call(request, { signal }) {
      called.push(['call', request])
      if (!parts.call) throw new Error('No app is called here.')
      return parts.call(request, signal)
    },
    status: async () =>
      keep('status', [], {
        runnerProblem: 'no Python',
        databaseProblem: null,
        pids: { gate: 1 },
        eventLoopDelay: { p50: 0, p99: 1, max: 2 },
      }),
    metrics: async () => keep('metrics', [], '# TYPE a counter\na 1\n'),
    onEvent(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
  }
}

import type { Activator } from '@fp/scaler'
import type { Registry } from 'prom-client'
import type { AppChanges } from '../app-changes.ts'
import type { Events } from '../events.ts'
import { callApp } from '../ingress/call.ts'
import { createTargets } from '../runtime/activation.ts'
import type { Runtime } from '../runtime/runtime.ts'
import type { Gate, GateFacts, GateStatus } from './gate.ts'

export interface LocalGateDeps {
  readonly facts: GateFacts
  readonly activator: Activator
  readonly runtime: Runtime
  readonly events: Events
  readonly changes: AppChanges
  readonly registry: Registry
  readonly status: () => GateStatus
}

/** The gate within its own process. */
export function createLocalGate(deps: LocalGateDeps): Gate {
  const { activator, runtime, events, changes, registry } = deps
  return {
    facts: deps.facts,
    targets: createTargets(activator, runtime.cleanup),
    trial: runtime.trial,
    logs: runtime.logs,
    cleanup: runtime.cleanup,
    async forgetRoute(appId) {
      changes.emit('routed', { appId })
    },
    storageProblem: async () => runtime.health.storageProblem(),
    call: (request, options) => callApp(activator, request, options),
    status: async () => deps.status(),
    metrics: () => registry.metrics(),
    onEvent: (listener) => ({ [Symbol.dispose]: events.onAny(listener) }),
  }
}

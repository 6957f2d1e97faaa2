import type { Activator, Observer, TargetKey, TargetPhase } from '@fp/scaler'
import type { WakePolicy } from '@fp/scaler/http'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'

/** In seconds. A local app wakes within some 10 ms; one with many imports takes much longer. */
const BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

const PHASES: readonly TargetPhase[] = ['asleep', 'waking', 'awake', 'draining']

export interface MetricsObserver extends Observer {
  /** Counts a process that ended by itself when the scaler no longer watched it, e.g. after its end had broken a request off. */
  crashed(): void
}

/**
 * Counts what the activator observes. No metric has a label for the app: thousands of apps would make thousands of series,
 * and if no token is set, apps of this machine may read them.
 */
export function createMetricsObserver(registry: Registry): MetricsObserver {
  const registers = [registry]
  const coldStarts = new Counter({
    name: 'fp_cold_starts_total',
    help: 'Wakes that have ended, by outcome: ready, failed or timeout.',
    labelNames: ['outcome'],
    registers,
  })
  // Prometheus needs the zero to compute the first increase.
  for (const outcome of ['ready', 'failed', 'timeout']) coldStarts.inc({ outcome }, 0)
  const coldStart = new Histogram({
    name: 'fp_cold_start_duration_seconds',
    help: 'Seconds from the start of a wake until the first endpoint was ready.',
    buckets: BUCKETS,
    registers,
  })
  const crashes = new Counter({
    name: 'fp_app_crashes_total',
    help: 'Running apps that ended by themselves.',
    registers,
  })
  const wait = new Histogram({
    name: 'fp_queue_wait_seconds',
    help: 'Seconds that requests waited for an endpoint. cold: no endpoint was ready.',
    labelNames: ['cold'],
    buckets: BUCKETS,
    registers,
  })
  const refusals = new Counter({
    name: 'fp_refusals_total',
    help: 'Requests that the activator refused, by code; SCALER_QUEUE_FULL is a full queue.',
    labelNames: ['code'],
    registers,
  })
  refusals.inc({ code: 'SCALER_QUEUE_FULL' }, 0)
  const errors = new Counter({
    name: 'fp_scaler_errors_total',
    help: 'Background operations that failed and are retried, such as a scale-down.',
    registers,
  })
  /** Targets that are waking: the observer's `failed` is called for wakes and for running apps alike. */
  const waking = new Set<TargetKey>()

  return {
    waking: (key) => void waking.add(key),
    awake(key, { waited }) {
      waking.delete(key)
      coldStarts.inc({ outcome: 'ready' })
      coldStart.observe(waited / 1000)
    },
    crashed: () => crashes.inc(),
    asleep: (key) => void waking.delete(key),
    failed(key, { code }) {
      if (!waking.delete(key)) crashes.inc()
      else coldStarts.inc({ outcome: code === 'SCALER_WAKE_TIMEOUT' ? 'timeout' : 'failed' })
    },
    granted: (_key, { waited, cold }) => wait.observe({ cold: String(cold) }, waited / 1000),
    refused(key, code) {
      refusals.inc({ code })
      // The wake was refused before it began.
      if (code === 'SCALER_WAKES_FULL' || code === 'SCALER_AWAKE_FULL') waking.delete(key)
    },
    error: () => errors.inc(),
  }
}

/** Wraps a policy and counts its decisions. */
export function countDecisions(registry: Registry): (policy: WakePolicy) => WakePolicy {
  const decisions = new Counter({
    name: 'fp_wake_decisions_total',
    help: 'Requests to apps that were not awake and matched a wake policy, by action.',
    labelNames: ['action'],
    registers: [registry],
  })
  return (policy) => (request, target) => {
    const decision = policy(request, target)
    if (decision) decisions.inc({ action: decision.action })
    return decision
  }
}

/** Sums up the targets each time the metrics are read. */
export function measureTargets(registry: Registry, activator: Activator): void {
  const sum = (name: string, help: string, of: 'queued' | 'inFlight' | 'endpoints' | 'replicas'): Gauge =>
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        let total = 0
        for (const [, stats] of activator.targets()) total += stats[of]
        this.set(total)
      },
    })
  sum('fp_queue_depth', 'Requests that wait for an endpoint.', 'queued')
  sum('fp_requests_in_flight', 'Requests, streams and WebSockets that an app is answering.', 'inFlight')
  sum('fp_endpoints', 'Replicas that are ready.', 'endpoints')
  sum('fp_replicas_wanted', 'Replicas that were last asked for.', 'replicas')
  new Gauge({
    name: 'fp_targets',
    help: 'Versions of apps that the activator tracks, by phase. It does not track most of those that sleep.',
    labelNames: ['phase'],
    registers: [registry],
    collect() {
      for (const phase of PHASES) this.set({ phase }, 0)
      for (const [, { phase }] of activator.targets()) this.inc({ phase })
    },
  })
}

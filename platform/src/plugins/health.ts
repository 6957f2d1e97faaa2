import type { FastifyInstance } from 'fastify'
import type { GateStatus } from '../gate/gate.ts'
import type { Lag } from './event-loop.ts'
import { readResourceUse, shortage } from './resource-use.ts'

/** Checks one part that must work. Resolves to a reason if it does not. `gate` is the gate's present status. */
export type ReadyCheck = (gate: GateStatus) => Promise<string | undefined>

/** A check that takes longer has failed. */
const CHECK_TIMEOUT = 2_000

/** `/healthz`: whether the process is alive. `/readyz`: whether it can serve; the answer names the parts that do not work. */
export function registerHealth(
  app: FastifyInstance,
  deps: {
    checks: Readonly<Record<string, ReadyCheck>>
    lag: Lag
    gateStatus: () => Promise<GateStatus>
  },
): void {
  app.get('/healthz', { schema: { hide: true } as object }, async () => ({ status: 'ok' }))
  app.get('/readyz', { schema: { hide: true } as object }, async (_request, reply) => {
    const gate = await deps.gateStatus().catch(() => undefined)
    const use = await readResourceUse({ ...gate?.pids, api: process.pid })
    const entries = Object.entries(deps.checks).map(
      async ([name, check]) => [name, gate ? ((await run(check, gate)) ?? 'ok') : 'unavailable'] as const,
    )
    const parts = { ...Object.fromEntries(await Promise.all(entries)), resources: shortage(use) ?? 'ok' }
    const ready = Object.values(parts).every((state) => state === 'ok')
    reply.code(ready ? 200 : 503).header('cache-control', 'no-store')
    return {
      status: ready ? 'ok' : 'unavailable',
      parts,
      event_loop_delay_ms: gate?.eventLoopDelay ?? null,
      api_event_loop_delay_ms: deps.lag.read(),
      ...use,
    }
  })
}

async function run(check: ReadyCheck, gate: GateStatus): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer within ${CHECK_TIMEOUT} ms`), CHECK_TIMEOUT)
  })
  try {
    return await Promise.race([check(gate), late])
  } catch {
    return 'unavailable'
  } finally {
    clearTimeout(timer)
  }
}

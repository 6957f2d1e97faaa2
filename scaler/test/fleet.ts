import { createActivator, DEFAULT_POLICY } from '../src/activator.ts'
import {
  FakeClock,
  FakeCoordination,
  FakeDriver,
  ProcessClock,
  settle,
  type FakeConnection,
} from '../src/drivers/fake/index.ts'
import type { Activator, Lease, TargetKey, TargetPolicy } from '../src/types.ts'

export interface FleetMember {
  readonly activator: Activator
  readonly connection: FakeConnection
  readonly clock: ProcessClock
  /** The calls of its observer. */
  readonly told: string[]
}

/** Several activators that use the targets of one driver. */
export interface Fleet {
  readonly driver: FakeDriver
  readonly clock: FakeClock
  readonly members: readonly FleetMember[]
  scaled(): string[]
  /** Wakes a sleeping target through one member. */
  wake(member: FleetMember, key: TargetKey, replicas?: number): Promise<Lease>
  close(): Promise<void>
}

/** With `embedded`, the embedder's members track which processes are alive. */
export async function fleet(
  size: number,
  policy: Partial<TargetPolicy> = {},
  { embedded = false } = {},
): Promise<Fleet> {
  const driver = new FakeDriver()
  const clock = new FakeClock()
  const coordination = new FakeCoordination(clock)
  const members: FleetMember[] = []
  for (let index = 0; index < size; index++) {
    const own = new ProcessClock(clock)
    const connection = coordination.connect({ members: embedded, clock: own })
    const told: string[] = []
    const activator = await createActivator({
      driver,
      clock: own,
      coordination: connection,
      instance: `member-${index}`,
      policy: () => ({ ...DEFAULT_POLICY, ...policy }),
      observer: {
        asleep: (key) => void told.push(`asleep ${key}`),
        failed: (key, { code }) => void told.push(`failed ${key} ${code}`),
        scaled: (key, { from, to }) => void told.push(`scaled ${key} ${from} ${to}`),
        error: (error, key) => void told.push(`error ${key ?? ''} ${error.message}`),
      },
    })
    members.push({ activator, connection, clock: own, told })
  }
  return {
    driver,
    clock,
    members,
    scaled: () => driver.calls.map((call) => `${call.key} ${call.replicas}`),
    async wake({ activator }, key, replicas = 1) {
      const lease = activator.acquire(key)
      await settle()
      driver.ready(key, replicas)
      return lease
    },
    async close() {
      for (const { activator, connection } of members) {
        connection.heal()
        await activator.close({ signal: AbortSignal.abort() })
        connection.members?.[Symbol.dispose]()
      }
    },
  }
}

import { createActivator, DEFAULT_POLICY, type ActivatorOptions } from '../src/activator.ts'
import { FakeClock, FakeDriver, settle } from '../src/drivers/fake/index.ts'
import type { Observer } from '../src/observer.ts'
import type { AcquireOptions, Activator, Lease, TargetKey, TargetPolicy } from '../src/types.ts'

export const MINUTE = 60_000

export interface Rig {
  readonly activator: Activator
  readonly driver: FakeDriver
  readonly clock: FakeClock
  /** The calls of the observer: `waking app`, `awake app`, … */
  readonly told: string[]
  /** The scale calls so far: `app 1`, `app 0`, … */
  scaled(): string[]
  /** Calls `acquire` and returns its state, which can be read without awaiting. */
  ask(key: TargetKey, options?: AcquireOptions): Asked
  /** Wakes a sleeping target and resolves to its first lease. */
  wake(key: TargetKey, replicas?: number): Promise<Lease>
}

export interface Asked {
  readonly promise: Promise<Lease>
  lease: Lease | undefined
  error: unknown
  settled: number
}

export async function rig(
  policy: Partial<TargetPolicy> = {},
  options: { driver?: FakeDriver } & Pick<ActivatorOptions, 'policy' | 'keepAwake' | 'wakes' | 'awake'> = {},
): Promise<Rig> {
  const { driver = new FakeDriver() } = options
  const clock = new FakeClock()
  const told: string[] = []
  const activator = await createActivator({
    driver,
    clock,
    policy: options.policy ?? (() => ({ ...DEFAULT_POLICY, ...policy })),
    observer: tell(told),
    ...(options.awake ? { awake: options.awake } : {}),
    ...(options.wakes ? { wakes: options.wakes } : {}),
    ...(options.keepAwake ? { keepAwake: options.keepAwake } : {}),
  })

  function ask(key: TargetKey, acquireOptions: AcquireOptions = {}): Asked {
    const promise = activator.acquire(key, acquireOptions)
    const asked: Asked = { promise, lease: undefined, error: undefined, settled: 0 }
    promise.then(
      (lease) => {
        asked.lease = lease
        asked.settled++
      },
      (error: unknown) => {
        asked.error = error
        asked.settled++
      },
    )
    return asked
  }

  return {
    activator,
    driver,
    clock,
    told,
    ask,
    scaled: () => driver.calls.map((call) => `${call.key} ${call.replicas}`),
    async wake(key, replicas = 1) {
      const asked = ask(key)
      await settle()
      driver.ready(key, replicas)
      return asked.promise
    },
  }
}

function tell(told: string[]): Observer {
  return {
    waking: (key) => void told.push(`waking ${key}`),
    awake: (key) => void told.push(`awake ${key}`),
    asleep: (key) => void told.push(`asleep ${key}`),
    failed: (key, failure) => void told.push(`failed ${key} ${failure.code}`),
    refused: (key, code) => code === 'SCALER_QUEUE_FULL' && told.push(`queueFull ${key}`),
    scaled: (key, { from, to }) => void told.push(`scaled ${key} ${from} ${to}`),
    error: (error) => void told.push(`error ${error.message}`),
  }
}

/** A promise, and functions that resolve or reject it. */
export function gate(): { readonly passed: Promise<void>; open(): void; shut(error: Error): void } {
  let open!: () => void
  let shut!: (error: Error) => void
  const passed = new Promise<void>((resolve, reject) => {
    open = resolve
    shut = reject
  })
  return { passed, open, shut }
}

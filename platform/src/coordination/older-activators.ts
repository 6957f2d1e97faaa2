import type { Coordination } from '@fp/scaler'
import type { Membership } from './membership.ts'

/** In ms. The store is asked again at the next heartbeat. */
const TIMEOUT = 5_000

/**
 * Activators of the version before know each other by heartbeats in the register, under `member/<id>`. For as long as one of
 * them lives, this process sends such heartbeats too, or they would take it for dead and put to sleep what it uses.
 */
export function heartbeatForOlderActivators(
  members: Membership,
  register: Coordination,
  onError: (error: Error) => void,
): AsyncDisposable {
  let written: string | undefined
  let count = 0

  async function write(id: string, value: { count: number } | undefined): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT)
    await register.update(`member/${id}`, () => value, { signal }).catch(onError)
  }

  async function forget(): Promise<void> {
    const id = written
    written = undefined
    if (id !== undefined) await write(id, undefined)
  }

  function look(): void {
    if (members.lost.aborted) return
    if (!members.olderLive) return void forget()
    if (written !== members.id) void forget()
    written = members.id
    void write(written, { count: ++count })
  }

  look()
  const watch = members.watch(look)
  return {
    async [Symbol.asyncDispose]() {
      watch[Symbol.dispose]()
      await forget()
    },
  }
}

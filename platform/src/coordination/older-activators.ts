import type { Coordination } from '@fp/scaler'
import type { Membership } from './membership.ts'

/** Limit for one write, in ms. The next heartbeat writes again. */
const TIMEOUT = 5_000

/**
 * Activators of the previous fp version know each other by heartbeats in the register, under `member/<id>`. While one of
 * them is alive, this process sends such heartbeats too. Otherwise they would regard it as dead and put to sleep the targets
 * that it uses.
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

import { mkdtemp } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ROOT } from './platform.ts'

/** The event loop of a platform that is started with this `env`. */
export interface LoopProbe {
  readonly env: Record<string, string>
  /** The longest time in ms, since the last call, for which the event loop was blocked. */
  maxBlock(): Promise<number>
}

export async function loopProbe(): Promise<LoopProbe> {
  const path = join(await mkdtemp(join(tmpdir(), 'fp-loop-')), 'probe.sock')
  const script = pathToFileURL(join(ROOT, 'e2e/harness/loop-probe.ts')).href
  return {
    env: { FP_E2E_LOOP_PROBE: path, NODE_OPTIONS: `--import=${script}` },
    async maxBlock() {
      const text = (await connect(path).toArray()).join('')
      return Number(text)
    },
  }
}

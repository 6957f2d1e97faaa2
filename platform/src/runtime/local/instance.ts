import type { Endpoint, Phase, TargetKey } from '@fp/scaler'
import { untilReady } from '@fp/scaler'
import { request } from 'node:http'
import { plainFailure, type AppFailureReport } from '../runtime.ts'
import type { Exited, InstanceEvent } from './protocol.ts'

export type InstanceState = 'starting' | 'ready' | 'stopping'

export interface InstanceHooks {
  /** The instance reached a phase, or is ready. */
  progress(): void
  /** The instance has ended, with a `failure` if nobody stopped it. */
  ended(failure: AppFailureReport | undefined): void
}

/** One process of an app, from its start request to its end. */
export class Instance {
  readonly key: TargetKey
  readonly id: string
  readonly endpoint: Endpoint
  readonly phases: Phase[] = []
  state: InstanceState = 'starting'
  readonly #socket: string
  readonly #hooks: InstanceHooks
  readonly #gone = new AbortController()
  #failure: AppFailureReport | undefined

  constructor(key: TargetKey, id: string, socket: string, hooks: InstanceHooks) {
    this.key = key
    this.id = id
    this.#socket = socket
    this.#hooks = hooks
    this.endpoint = { id, url: new URL(`unix:${encodeURI(socket)}`) }
  }

  handle(event: InstanceEvent): void {
    if (event.event === 'phase') this.#phase(event.phase, event.ms)
    else if (event.event === 'failed') this.#failure = fullReport(event.failure)
    else if (event.event === 'exited') this.#exited(event)
  }

  /** Asks the runner once, as at the start. */
  answers(signal: AbortSignal): Promise<boolean> {
    return answers(this.#socket, signal).catch(() => false)
  }

  #phase(name: string, at: number): void {
    this.phases.push({ name, at })
    if (name === 'ready') void this.#confirm()
    else this.#hooks.progress()
  }

  /** An HTTP answer of the endpoint itself decides readiness. The runner's event only starts the requests. */
  async #confirm(): Promise<void> {
    try {
      await untilReady((signal) => answers(this.#socket, signal), { signal: this.#gone.signal })
    } catch {
      return
    }
    if (this.state !== 'starting') return
    this.state = 'ready'
    this.#hooks.progress()
  }

  #exited(event: Exited): void {
    this.#gone.abort(new Error(event.message))
    const wanted = this.state === 'stopping' && ['stopped', 'killed', 'lost'].includes(event.reason)
    this.#hooks.ended(wanted ? undefined : (this.#failure ?? crashReport(event)))
  }
}

/** Whether the runner's readiness path answers. */
function answers(socketPath: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = request(
      { socketPath, path: '/_fp/ready', method: 'GET', signal, agent: false },
      (response) => {
        response.resume().once('error', () => undefined)
        resolve(response.statusCode === 204)
      },
    )
    // Not removed after the response: a later abort emits an error, which needs a listener.
    probe.on('error', reject)
    probe.end()
  })
}

export function fullReport(
  failure: Partial<AppFailureReport> & { code: string; message: string },
): AppFailureReport {
  return {
    code: failure.code,
    message: failure.message,
    traceback: failure.traceback ?? null,
    file: failure.file ?? null,
    line: failure.line ?? null,
  }
}

function crashReport(event: Exited): AppFailureReport {
  if (event.reason === 'lost') return plainFailure('FP_RUNNER_ENDED', event.message)
  const code = event.reason === 'out_of_memory' ? 'FP_APP_OUT_OF_MEMORY' : 'FP_APP_CRASHED'
  return plainFailure(code, event.message)
}

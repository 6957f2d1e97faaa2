import type { V1ContainerState, V1Pod } from '@kubernetes/client-node'
import type { ServerResponse } from 'node:http'
import { targetLabels } from '../names.ts'
import { refuse, type Asked } from './local-api.ts'

/** A pod and the log of its container, as the API server shows them. */
export class LocalKubelet {
  /** ms of the second at which the next line is stamped. */
  #time = 0
  #lines: string[] = []
  #previous: string[] = []
  #streams = new Set<ServerResponse>()
  #restarts = 0
  #state: 'waiting' | 'running' | 'terminated' = 'running'
  /** Answers logs with this instead. */
  refusal: { status: number; message: string } | undefined
  deleted = false
  readonly name: string

  constructor(name = 'app-a-1-0-x') {
    this.name = name
  }

  get pod(): V1Pod {
    const terminated = { exitCode: 1 }
    const states: Record<string, V1ContainerState> = {
      waiting: { waiting: {} },
      running: { running: {} },
      terminated: { terminated },
    }
    return {
      metadata: { name: this.name, uid: `uid of ${this.name}`, labels: targetLabels('a.1.0') },
      status: {
        phase: this.#state === 'terminated' ? 'Failed' : 'Running',
        containerStatuses: [
          {
            name: 'app',
            image: '',
            imageID: '',
            ready: true,
            restartCount: this.#restarts,
            state: states[this.#state]!,
            ...(this.#state === 'waiting' && this.#lines.length > 0 ? { lastState: { terminated } } : {}),
          },
        ],
      },
    }
  }

  set state(state: 'waiting' | 'running' | 'terminated') {
    this.#state = state
  }

  /** How many are being followed. */
  get streams(): number {
    return this.#streams.size
  }

  print(...texts: string[]): void {
    for (const text of texts) {
      this.#time += 100
      this.printRaw(`${new Date(Date.UTC(2026, 0, 1) + this.#time).toISOString()} ${text}\n`)
    }
  }

  printRaw(line: string): void {
    this.#lines.push(line)
    for (const stream of this.#streams) stream.write(line)
  }

  /** Prints lines that the open connections do not get, as if they lagged behind. */
  printUnheard(...texts: string[]): void {
    const streams = this.#streams
    this.#streams = new Set()
    this.print(...texts)
    this.#streams = streams
  }

  /** The container ends, and its log with it. */
  end(): void {
    this.#state = 'terminated'
    this.breakOff('end')
  }

  restart(): void {
    this.#previous = this.#lines
    this.#lines = []
    this.#restarts++
    this.#state = 'running'
  }

  breakOff(how: 'end' | 'destroy'): void {
    for (const stream of this.#streams) stream[how]()
    this.#streams.clear()
  }

  answer({ path, query }: Asked, response: ServerResponse): void {
    if (this.deleted) return refuse(response, 404, 'NotFound')
    if (!path.endsWith('/log')) return void response.end(JSON.stringify(this.pod))
    if (this.refusal) return refuse(response, this.refusal.status, 'BadRequest', this.refusal.message)
    if (query['sinceTime'] && Number.isNaN(Date.parse(query['sinceTime'])))
      return refuse(response, 400, 'BadRequest', 'sinceTime is no time')
    // To the second, as the API server has it.
    const since = Math.floor(Date.parse(query['sinceTime'] ?? '1970-01-01T00:00:00Z') / 1000) * 1000
    const lines = query['previous'] ? this.#previous : this.#lines
    response.writeHead(200).flushHeaders()
    for (const line of lines) if (!(Date.parse(line.split(' ')[0]!) < since)) response.write(line)
    if (!query['follow'] || this.#state !== 'running') return void response.end()
    this.#streams.add(response)
    response.once('close', () => this.#streams.delete(response))
  }
}

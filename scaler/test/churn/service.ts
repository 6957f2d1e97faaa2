import { until } from '../contract/processes.ts'
import { KINDS, REPEATABLE, send, sendHeld, type Answer, type Call, type Kind } from './client.ts'
import type { Ledger } from './ledger.ts'
import type { World } from './world.ts'

/** What may befall the target of a service. */
export type Event = 'sleep' | 'crashIdle' | 'crashBusy' | 'replace' | 'replaceWaking'

/** One service under load, and what befalls its target meanwhile. */
export class Service {
  readonly name: string
  readonly #world: World
  readonly #ledger: Ledger
  readonly #inFlight = new Map<string, Kind>()
  /** While it is there, no request is begun. */
  #gate: PromiseWithResolvers<void> | undefined
  /** Called after each answer. */
  #answered = (): void => undefined
  #served = 0
  #closed = false

  constructor(name: string, world: World, ledger: Ledger) {
    this.name = name
    this.#world = world
    this.#ledger = ledger
  }

  /** Sends one request after the other until `finish`. */
  async load(kinds: readonly Kind[]): Promise<void> {
    for (let turn = 0; !this.#closed; turn++) {
      await this.request(kinds[turn % kinds.length]!)
      while (this.#gate) await this.#gate.promise
    }
  }

  finish(): void {
    this.#closed = true
  }

  async request(kind: Kind): Promise<void> {
    const id = this.#ledger.open(this.name)
    this.#inFlight.set(id, kind)
    const { answer, right } = send(kind, this.#call(id), this.#world.agent)
    this.#ledger.close(id, await answer, right)
    this.#inFlight.delete(id)
    this.#served++
    this.#answered()
  }

  /** Resolves once so many more requests have been answered. */
  served(requests: number): Promise<void> {
    const enough = this.#served + requests
    return this.#when(() => this.#served >= enough)
  }

  async befall(event: Event): Promise<void> {
    await this[event]()
  }

  /** Told to while nobody uses it; those who come while it drains are the next generation's. */
  async sleep(): Promise<void> {
    await this.#drain()
    const key = this.#world.target(this.name)
    const asleep = this.#world.activator.sleep(key)
    this.#open()
    if (!(await asleep)) throw new Error(`${key} does not sleep though nobody uses it`)
  }

  /** The next request finds nobody at an endpoint that the activator believes in. */
  async crashIdle(): Promise<void> {
    await this.#drain()
    const key = this.#world.target(this.name)
    await this.#world.complete(key)
    this.#world.keepUnaware(key)
    await this.#world.kill(key)
    this.#open()
  }

  /** In the middle of one request of each kind, and of whatever else is on its way. */
  async crashBusy(): Promise<void> {
    const key = this.#world.target(this.name)
    await this.#world.complete(key)
    const pid = this.#world.pid(key)
    const held = await Promise.all(KINDS.map((kind) => this.#hold(kind, pid)))
    this.#close()
    for (const [id, kind] of this.#inFlight) this.#ledger.hit(id, REPEATABLE.includes(kind))
    await this.#world.kill(key)
    this.#open()
    await Promise.all(held.map(({ broken }) => broken))
  }

  /** As a deploy does: nobody waits for anybody. */
  async replace(): Promise<void> {
    const was = this.#world.replace(this.name)
    await this.#world.activator.retire(was)
    await this.#world.news.until(was, ({ ready }) => ready.length === 0)
  }

  /** Those who wait for the old target's wake go to the new one. */
  async replaceWaking(): Promise<void> {
    await this.sleep()
    const key = this.#world.target(this.name)
    await until(() => (this.#world.activator.stats(key)?.queued ?? 0) > 0)
    await this.replace()
  }

  /** A request that the app is in the middle of; `broken` settles when the crash has ended it as it must. */
  async #hold(kind: Kind, pid: number): Promise<{ broken: Promise<void> }> {
    const id = this.#ledger.open(this.name)
    const arrival = this.#ledger.arrival(id)
    const { answer, begun, broken, repeated } = sendHeld(kind, this.#call(id), this.#world.agent, pid)
    await Promise.all([arrival, begun])
    // Only what has no byte of its answer yet may be sent once more.
    if (repeated) this.#ledger.hit(id, true)
    const right = (got: Answer): Answer => (repeated && got.status === 200 ? repeated : broken)
    return { broken: answer.then((got) => this.#ledger.close(id, got, right(got))) }
  }

  async #drain(): Promise<void> {
    this.#close()
    await this.#when(() => this.#inFlight.size === 0)
    const key = this.#world.target(this.name)
    // The client has its answer a moment before the front is done with it.
    await until(() => this.#world.activator.stats(key)?.inFlight === 0)
  }

  #close(): void {
    this.#gate = Promise.withResolvers()
  }

  #open(): void {
    this.#gate?.resolve()
    this.#gate = undefined
  }

  #when(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#answered = () => {
        if (holds()) resolve()
      }
      this.#answered()
    })
  }

  #call(id: string): Call {
    return { port: this.#world.port, host: this.name, id }
  }
}

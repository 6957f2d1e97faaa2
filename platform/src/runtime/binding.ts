import type { TargetKey } from '@fp/scaler'
import type { AppFailureReport, AppSpec, RuntimeBinding } from './runtime.ts'

/**
 * The binding of a runtime, for parts that are created before its `start`. Before `start` events are dropped, and other calls
 * throw.
 */
export class LateBinding implements RuntimeBinding {
  #bound: RuntimeBinding | undefined

  bind(binding: RuntimeBinding): void {
    if (this.#bound) throw new Error('The runtime has been started already.')
    this.#bound = binding
  }

  async specOf(key: TargetKey): Promise<AppSpec> {
    return this.#require(`it cannot start ${key}`).specOf(key)
  }

  async liveTargets(): Promise<readonly TargetKey[]> {
    return this.#require('it does not know the live targets').liveTargets()
  }

  crashed(key: TargetKey, failure: AppFailureReport): void {
    this.#bound?.crashed(key, failure)
  }

  progress(key: TargetKey, message: string): void {
    this.#bound?.progress(key, message)
  }

  #require(consequence: string): RuntimeBinding {
    if (this.#bound) return this.#bound
    throw new Error(`The runtime has not been started, so ${consequence}. Call start() first.`)
  }
}

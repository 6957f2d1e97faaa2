import { isFinal } from '@fp/sdk/client'
import type { AppFailure, DeployAccepted, Finding } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import { findingsOf } from '#lib/api/errors.ts'
import { advance, begin, fail, type Progress } from '#lib/editor/stages.ts'

/** The deployment that this page started or follows, with its stages. */
export class DeploymentState {
  readonly appId: string
  progress = $state.raw<Progress | undefined>()
  version = $state<number | undefined>()
  kind = $state<'deploy' | 'rollback'>('deploy')
  #stop = new AbortController()

  constructor(appId: string) {
    this.appId = appId
  }

  get running(): boolean {
    return this.progress?.outcome === 'running'
  }

  get failure(): AppFailure | undefined {
    return this.progress?.failure
  }

  /**
   * Runs a deployment to its end. Resolves with the findings: errors when the code was refused, otherwise warnings.
   * Throws other errors of the API. When the app fails to start, `progress.failure` says why, and nothing is thrown.
   */
  async run(kind: 'deploy' | 'rollback', start: () => Promise<DeployAccepted>): Promise<Finding[]> {
    this.kind = kind
    this.version = undefined
    this.progress = begin()
    try {
      const accepted = await start()
      this.version = accepted.version
      await this.#watch(accepted.deployment_id)
      return accepted.warnings
    } catch (error) {
      const findings = findingsOf(error)
      if (!findings) {
        this.progress = undefined
        throw error
      }
      const errors = findings.filter((finding) => finding.severity === 'error').length
      this.progress = fail(
        this.progress,
        Date.now(),
        undefined,
        `${errors} ${errors === 1 ? 'error' : 'errors'} in the code`,
      )
      return findings
    }
  }

  /**
   * For a page that was loaded during or after a deployment: follows the deployment that is running, or shows the newest
   * one if it failed. Resolves to whether it followed one.
   */
  async resume(): Promise<boolean> {
    const { items } = await client.deployments.list(this.appId, { limit: 1, signal: this.#stop.signal })
    const [latest] = items
    if (!latest || latest.stage === 'ready' || this.progress) return false
    this.kind = latest.kind
    this.version = latest.version
    if (isFinal(latest)) {
      this.progress = latest.events.reduce(advance, begin())
      return false
    }
    this.progress = begin()
    await this.#watch(latest.deployment_id)
    return true
  }

  async #watch(deploymentId: string): Promise<void> {
    const { signal } = this.#stop
    for await (const event of client.deployments.watch(this.appId, deploymentId, { signal })) {
      this.progress = advance(this.progress ?? begin(), event)
    }
  }

  close(): void {
    this.#stop.abort()
  }
}

import type { PlatformEvent } from '@fp/sdk/client'
import type { App, AppDetail, DeployAccepted, Finding } from '@fp/sdk/wire'
import { entrypointFile, parseEntrypoint } from '@fp/sdk/python'
import { client } from '#lib/api/client.ts'
import { createChecker } from '#lib/editor/checker.ts'
import { ENV_FILE_ADVICE, pathProblem } from '#lib/editor/paths.ts'
import { sortFiles, whereTo, withoutEnvFiles } from '#lib/editor/uploads.ts'
import { AssetsState } from './assets.svelte.ts'
import { DeploymentState } from './deployment.svelte.ts'
import { DraftState } from './draft.svelte.ts'
import { live } from './live.svelte.ts'
import { Problems } from './problems.svelte.ts'
import { toasts } from './toasts.svelte.ts'
import { TryIt } from './try-it.svelte.ts'

export interface Place {
  file: string
  line: number
  column: number
  /** Grows with each visit, so that going to the same place twice moves the editor twice. */
  visit: number
}

/** An app that is open in the editor: everything that its tabs share. */
export class Workspace {
  app = $state.raw<AppDetail>() as AppDetail
  openPath = $state('app.py')
  /** The place to which the editor was last moved. */
  place = $state.raw<Place | undefined>()
  cursor = $state.raw({ line: 1, column: 1 })
  deploying = $state(false)
  readonly draft: DraftState
  readonly assets: AssetsState
  /** Paths of files and assets. */
  paths = $derived.by(() => [...this.draft.paths, ...this.assets.paths].sort())
  readonly problems: Problems
  readonly deployment: DeploymentState
  readonly tryIt: TryIt
  #stopListening: () => void
  /** The requests for the app that are under way, with what the platform has told since they were sent. */
  #refreshes: readonly { told?: App }[] = []

  constructor(app: AppDetail) {
    this.app = app
    this.draft = new DraftState(app.app_id, app.draft)
    this.assets = new AssetsState(app.app_id, app.draft.assets)
    this.problems = new Problems(createChecker())
    this.deployment = new DeploymentState(app.app_id)
    this.tryIt = new TryIt(app.app_id)
    this.openPath = firstFile(this.draft.paths)
    void this.#resume()
    this.#stopListening = live.on((event) => this.#hear(event))
  }

  /** The file that is run first, if it is known. */
  get entrypointFile(): string | undefined {
    const entrypoint = parseEntrypoint(this.problems.entrypoint ?? '')
    return entrypoint && entrypointFile(entrypoint, this.draft.paths)
  }

  get status(): App['status'] {
    return this.deployment.running ? 'deploying' : this.app.status
  }

  async refresh(): Promise<void> {
    const { changes } = this.assets
    const refresh: { told?: App } = {}
    this.#refreshes = [...this.#refreshes, refresh]
    try {
      const app = await client.apps.get(this.app.app_id)
      // The answer may be older than what was told meanwhile. If it is newer, that will be told too.
      this.app = { ...app, ...refresh.told }
      this.draft.offer(app.draft)
      this.assets.offer(app.draft.assets, changes)
    } finally {
      this.#refreshes = this.#refreshes.filter((other) => other !== refresh)
    }
  }

  /** Adopts the parts of the app that a call answered with. */
  merge(app: Partial<AppDetail> | undefined): void {
    if (app) this.app = { ...this.app, ...app }
  }

  goTo(file: string, line = 1, column = 1): void {
    if (!(file in this.draft.files)) return
    this.openPath = file
    this.place = { file, line, column, visit: (this.place?.visit ?? 0) + 1 }
  }

  /** Adds files that a person gave: text that can be edited goes into the draft, and all other files become assets. Opens the last one. */
  async addFiles(given: ReadonlyMap<string, Blob>, folder: string): Promise<void> {
    const files = withoutEnvFiles(given)
    if (files.size < given.size) toasts.error(new Error(`The .env file was not uploaded. ${ENV_FILE_ADVICE}`))
    this.assets.uploading += files.size
    try {
      const isAsset = (path: string): boolean => this.assets.find(path) !== undefined
      const { texts, assets } = await sortFiles(files, folder, this.paths, isAsset)
      for (const path of texts.keys()) {
        const problem = pathProblem(path, [])
        if (!problem) continue
        texts.delete(path)
        toasts.error(new Error(`${path} was not added. ${problem}`))
      }
      if (texts.size > 0) this.draft.addAll(texts)
      const saved = assets.size > 0 ? await this.assets.upload(assets) : []
      const added = [...texts.keys(), ...saved]
      if (added.length > 0) toasts.info(whereTo(added))
      this.openPath = added.at(-1) ?? this.openPath
      // The app has unpublished changes now.
      if (saved.length > 0) await this.refresh().catch(() => {})
    } finally {
      this.assets.uploading -= files.size
    }
  }

  async save(): Promise<void> {
    try {
      await this.draft.flush()
    } catch (error) {
      if (this.draft.phase !== 'conflict') toasts.error(error, 'Not saved')
    }
  }

  /** Saves, then deploys what was saved. */
  async deploy(): Promise<void> {
    if (this.deploying) return
    this.deploying = true
    try {
      await this.draft.flush()
      const findings = await this.#follow('deploy', () => client.apps.deploy(this.app.app_id))
      this.problems.show([...findings, ...this.#raised()])
    } catch (error) {
      if (this.draft.phase !== 'conflict') toasts.error(error, 'Not deployed')
    } finally {
      this.deploying = false
    }
  }

  async rollback(version: number): Promise<void> {
    if (this.deploying) return
    this.deploying = true
    try {
      await this.#follow('rollback', () => client.apps.rollback(this.app.app_id, version))
      if (this.deployment.progress?.outcome === 'ready') toasts.info(`v${version} is live`)
    } catch (error) {
      toasts.error(error, 'Not rolled back')
    } finally {
      this.deploying = false
    }
  }

  /** The app is deleted. Drops unsaved changes and stops asking for it. */
  forget(): void {
    this.draft.abandon()
    this.close()
  }

  close(): void {
    this.#stopListening()
    this.draft.close()
    this.problems.close()
    this.deployment.close()
  }

  /** Takes over what the platform tells. What an event does not have is loaded, if it may have changed. */
  #hear(event: PlatformEvent): void {
    if (event.name === 'reset') return this.#load()
    if (event.name !== 'app' || event.app.app_id !== this.app.app_id) return
    const before = this.app
    this.merge(event.app)
    for (const refresh of this.#refreshes) refresh.told = event.app
    const isDraftNewer = !this.draft.unsaved && event.app.draft_revision > this.draft.revision
    const isChanged =
      event.app.env_revision !== before.env_revision || event.app.assets_revision !== before.assets_revision
    if (isDraftNewer || isChanged) this.#load()
  }

  #load(): void {
    // The next event loads it again.
    void this.refresh().catch(() => {})
  }

  /** The exception that the app raised when it started, as a finding on its line. */
  #raised(): Finding[] {
    const { failure } = this.deployment
    if (!failure || failure.file === null || failure.line === null) return []
    const text = this.draft.files[failure.file]?.split('\n')[failure.line - 1]
    if (text === undefined) return []
    return [
      {
        file: failure.file,
        line: failure.line,
        column: text.length - text.trimStart().length + 1,
        end_line: failure.line,
        end_column: text.trimEnd().length + 1,
        rule: failure.code,
        message: failure.message,
        severity: 'error',
      },
    ]
  }

  async #resume(): Promise<void> {
    try {
      if (await this.deployment.resume()) await this.refresh()
    } catch {
      // The next poll shows the result.
    }
  }

  async #follow(kind: 'deploy' | 'rollback', start: () => Promise<DeployAccepted>): Promise<Finding[]> {
    try {
      return await this.deployment.run(kind, start)
    } finally {
      await this.refresh().catch(() => {})
    }
  }
}

/** The file that a person most likely wants to read first. */
function firstFile(paths: readonly string[]): string {
  const wanted = ['app.py', 'main.py', 'app/main.py', 'src/main.py']
  return (
    wanted.find((path) => paths.includes(path)) ??
    paths.find((path) => path.endsWith('.py')) ??
    paths[0] ??
    ''
  )
}

import { ApiError } from '@fp/sdk/client'
import type { Draft, Files } from '@fp/sdk/wire'
import { client } from '#lib/api/client.ts'
import { createAutosave } from '#lib/editor/autosave.ts'
import { renames, within } from '#lib/editor/file-tree.ts'
import { changedPaths, dropCopy, findCopy, keepCopy, type LocalCopy } from '#lib/editor/local-copy.ts'

/** ms until a save: after the last change, at most after the first unsaved change, and after a failed save. */
const TIMES = { delay: 900, maxDelay: 5000, retryDelay: 5000 }
/** ms after a change until the copy on this device is written. Short, since only the copy survives a crash. */
const COPY_DELAY = 150

/** The files that are edited. They are saved automatically, and kept on this device until the server has them. */
export class DraftState {
  readonly appId: string
  files = $state<Record<string, string>>({})
  phase = $state<'saved' | 'dirty' | 'saving' | 'failed' | 'conflict'>('saved')
  error = $state.raw<unknown>()
  /** The draft that someone else saved meanwhile, until the person chooses a version. */
  theirs = $state.raw<Draft | undefined>()
  /** Files that an earlier visit left unsaved, until the person restores or discards them. */
  recovered = $state.raw<LocalCopy | undefined>()
  /** Counts changes from outside the editor (a restore, another person's version). The editor's models must follow them. */
  replaced = $state(0)
  paths = $derived(Object.keys(this.files).sort())
  #revision = 0
  #edits = 0
  #copyTimer: ReturnType<typeof setTimeout> | undefined
  #autosave = createAutosave({ save: () => this.#save(), ...TIMES })

  constructor(appId: string, draft: Draft) {
    this.appId = appId
    this.files = { ...draft.files }
    this.#revision = draft.revision
    this.recovered = findCopy(localStorage, appId, draft.files)
  }

  /** The revision that the server had last, as far as this page knows. */
  get revision(): number {
    return this.#revision
  }

  /** Whether leaving now would lose something that the server does not have. */
  get unsaved(): boolean {
    return this.phase !== 'saved'
  }

  edit(path: string, text: string): void {
    if (this.files[path] === text) return
    this.files[path] = text
    this.#touch()
  }

  add(path: string): void {
    this.edit(path, '')
  }

  /** Path → text. Replaces files of the same path. */
  addAll(texts: ReadonlyMap<string, string>): void {
    this.files = { ...this.files, ...Object.fromEntries(texts) }
    this.replaced++
    this.#touch()
  }

  rename(from: string, to: string): void {
    const moved = renames(this.paths, from, to)
    this.files = Object.fromEntries(
      Object.entries(this.files).map(([path, text]) => [moved.get(path) ?? path, text]),
    )
    this.#touch()
  }

  remove(target: string): void {
    for (const path of within(this.paths, target)) delete this.files[path]
    this.#touch()
  }

  /** Saves what is unsaved. Rejects when it cannot be saved, or when someone else's version is in the way. */
  async flush(): Promise<void> {
    await this.#autosave.flush()
  }

  restore(): void {
    if (!this.recovered) return
    this.files = { ...this.recovered.files }
    this.recovered = undefined
    this.replaced++
    this.#touch()
  }

  discardRecovered(): void {
    this.recovered = undefined
    if (!this.unsaved) dropCopy(localStorage, this.appId)
  }

  async keepMine(): Promise<void> {
    if (!this.theirs) return
    this.#revision = this.theirs.revision
    this.theirs = undefined
    this.phase = 'dirty'
    await this.flush()
  }

  takeTheirs(): void {
    if (!this.theirs) return
    this.#adopt(this.theirs)
    this.theirs = undefined
  }

  /** Takes a newer draft of the server (from a poll or a rollback) when nothing is unsaved here. */
  offer(draft: Draft): void {
    if (this.unsaved || draft.revision <= this.#revision) return
    this.#adopt(draft)
  }

  /** Writes the copy on this device at once, because the page may be closed. */
  keep(): void {
    clearTimeout(this.#copyTimer)
    if (this.unsaved) this.#writeCopy()
  }

  /** Drops all unsaved changes. */
  abandon(): void {
    this.recovered = undefined
    this.#saved()
  }

  close(): void {
    this.keep()
    this.#autosave.stop()
  }

  #touch(): void {
    this.#edits++
    if (this.phase !== 'conflict') this.phase = 'dirty'
    clearTimeout(this.#copyTimer)
    this.#copyTimer = setTimeout(() => this.#writeCopy(), COPY_DELAY)
    this.#autosave.touch()
  }

  #writeCopy(): void {
    keepCopy(localStorage, this.appId, {
      files: $state.snapshot(this.files),
      revision: this.#revision,
      at: Date.now(),
    })
  }

  #adopt(draft: Draft): void {
    const changed = changedPaths(this.files, draft.files).length > 0
    this.#revision = draft.revision
    this.#saved()
    if (!changed) return
    this.files = { ...draft.files }
    this.replaced++
  }

  #saved(): void {
    this.phase = 'saved'
    this.error = undefined
    clearTimeout(this.#copyTimer)
    if (!this.recovered) dropCopy(localStorage, this.appId)
  }

  async #save(): Promise<void> {
    if (this.theirs) throw new Error('Choose first which version to keep.')
    const edits = this.#edits
    const files: Files = $state.snapshot(this.files)
    this.phase = 'saving'
    try {
      const draft = await client.apps.saveDraft(this.appId, { files, revision: this.#revision })
      this.#revision = draft.revision
      if (edits === this.#edits) this.#saved()
      else this.phase = 'dirty'
    } catch (error) {
      if (error instanceof ApiError && error.status === 409 && (await this.#meet(files))) return
      this.error = error
      this.phase = this.theirs ? 'conflict' : 'failed'
      throw error
    }
  }

  /** Fetches the draft that caused the conflict. True when its text is the same, so that there is nothing to choose. */
  async #meet(mine: Files): Promise<boolean> {
    const { draft } = await client.apps.get(this.appId)
    if (changedPaths(mine, draft.files).length > 0) {
      this.theirs = draft
      return false
    }
    this.#adopt(draft)
    return true
  }
}

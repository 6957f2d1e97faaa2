import type { Files, Finding } from '@fp/sdk/wire'
import type { Checker } from '#lib/editor/checker.ts'

/** ms without a change until the code is checked. */
const DELAY = 500

/** What is wrong with the code as it is typed. */
export class Problems {
  items = $state.raw<readonly Finding[]>([])
  /** What would be served, in the notation of entrypoints; null when nothing, undefined when nothing was checked yet. */
  entrypoint = $state.raw<string | null>()
  errors = $derived(this.items.filter((finding) => finding.severity === 'error').length)
  warnings = $derived(this.items.length - this.errors)
  #checker: Checker
  #timer: ReturnType<typeof setTimeout> | undefined
  #asked = 0
  #setting: string | null | undefined

  constructor(checker: Checker) {
    this.#checker = checker
  }

  /** Checks soon; only the answer to the last question counts. */
  check(files: Files, entrypoint: string | null): void {
    clearTimeout(this.#timer)
    const asked = ++this.#asked
    // What another setting served is not shown under this one.
    const isNew = entrypoint !== this.#setting
    if (isNew) this.entrypoint = undefined
    this.#setting = entrypoint
    this.#timer = setTimeout(
      async () => {
        const found = await this.#checker.check(files, entrypoint)
        if (!found || asked !== this.#asked) return
        this.items = sorted(found.findings)
        this.entrypoint = found.entrypoint
      },
      isNew ? 0 : DELAY,
    )
  }

  /** Findings of the platform itself, which has the last word until something is typed. */
  show(findings: Finding[]): void {
    clearTimeout(this.#timer)
    this.#asked++
    this.items = sorted(findings)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#asked++
    this.#checker.close()
  }
}

function sorted(findings: readonly Finding[]): Finding[] {
  const rank = (finding: Finding): number => (finding.severity === 'error' ? 0 : 1)
  return findings.toSorted((a, b) => rank(a) - rank(b) || a.file.localeCompare(b.file) || a.line - b.line)
}

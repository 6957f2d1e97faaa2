import type { Files, Finding } from '@fp/sdk/wire'
import type { Checker } from '#lib/editor/checker.ts'

/** ms without a change until the code is checked. */
const DELAY = 500

/** The problems of the code while it is typed. */
export class Problems {
  items = $state.raw<readonly Finding[]>([])
  /** What would be served, in the notation of entrypoints. Null when nothing would be. Undefined before the first check. */
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

  /** Checks the code a little later. Only the answer to the last question is shown. */
  check(files: Files, entrypoint: string | null): void {
    clearTimeout(this.#timer)
    const asked = ++this.#asked
    // The result for another entrypoint is not shown with the new one.
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

  /** Shows findings of the platform. They stay until the code is changed. */
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

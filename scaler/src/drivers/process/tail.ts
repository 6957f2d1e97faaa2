/** How much of the end of stderr is stored, for the failure of a process that has ended. */
const MAX_CHARACTERS = 4_096
const MAX_LINES = 20

/** The last lines of a stream. */
export class Tail {
  #text = ''

  add(text: string): void {
    this.#text = (this.#text + text).slice(-MAX_CHARACTERS)
  }

  get lines(): string[] {
    const lines = this.#text.split('\n').map((line) => line.trimEnd())
    return lines.filter((line) => line !== '').slice(-MAX_LINES)
  }
}

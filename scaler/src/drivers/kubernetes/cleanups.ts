/** Disposes what was added to it, the last first, like AsyncDisposableStack, which needs Node 24. */
export class Cleanups implements AsyncDisposable {
  #steps: (() => void | PromiseLike<void>)[] = []

  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(() => resource[Symbol.asyncDispose]())
    return resource
  }

  defer(step: () => void | PromiseLike<void>): void {
    this.#steps.push(step)
  }

  /** Moves everything to a new object, so that disposing this one does nothing any more. */
  move(): Cleanups {
    const moved = new Cleanups()
    moved.#steps = this.#steps.splice(0)
    return moved
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = []
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }
}

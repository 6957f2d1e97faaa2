import { setImmediate } from 'node:timers/promises'

/** ms of work after which others get their turn. */
const TURN = 2

/** `Array.map` that holds up the event loop for no longer than a turn, and what one item takes. */
export async function mapInTurns<T, R>(items: readonly T[], map: (item: T) => R): Promise<R[]> {
  const done: R[] = []
  let began = performance.now()
  for (const item of items) {
    if (performance.now() - began > TURN) {
      await setImmediate()
      began = performance.now()
    }
    done.push(map(item))
  }
  return done
}

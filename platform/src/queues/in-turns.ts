import { setImmediate } from 'node:timers/promises'

/** ms of work after which the event loop can run other work. */
const TURN = 2

/** `Array.map` that blocks the event loop for no longer than TURN plus the time for one item. */
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

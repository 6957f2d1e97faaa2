import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** ms: the other processes need the processor more than the one that waits for them. */
const BETWEEN_LOOKS = 5

/** Whether there is such a process, and it is not a zombie: who adopts orphans may take its time to bury them. */
export function runs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

/** Waits for what other processes bring about; the test's own time limit ends it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await setTimeout(BETWEEN_LOOKS)
}

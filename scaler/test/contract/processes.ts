import { readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** ms between two checks, so that the waiting process leaves the processor to the others. */
const BETWEEN_LOOKS = 5

/** Whether the process exists and is not a zombie. A zombie may remain for a while until its adopted parent reaps it. */
export function runs(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

/** Waits for the effect of other processes, up to the time limit of the test. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await setTimeout(BETWEEN_LOOKS)
}

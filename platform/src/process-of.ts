import { readFileSync } from 'node:fs'

/** The arguments of a living process, or undefined when there is none. A zombie has none. Linux only (/proc). */
export function argumentsOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    return text ? text.split('\0').slice(0, -1) : undefined
  } catch {
    return undefined
  }
}

/**
 * When a process started, in ticks since the machine did (field 22 of /proc/<pid>/stat): together with the pid it names
 * one process for good, as pids are used again.
 */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, the name, may hold spaces and brackets: count from its end.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

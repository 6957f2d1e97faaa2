import { readFileSync } from 'node:fs'

/** The arguments of a living process; undefined if there is no such process or it is a zombie. Linux only (/proc). */
export function argumentsOf(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    return text ? text.split('\0').slice(0, -1) : undefined
  } catch {
    return undefined
  }
}

/**
 * When a process started, in ticks since the machine's start (field 22 of /proc/<pid>/stat). Pids are reused, so only both
 * together identify a process.
 */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, the name, may contain spaces and brackets, so fields are counted from its end.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

import { readdir, readFile } from 'node:fs/promises'

/** How much of a limit is used. */
export interface Use {
  readonly used: number
  readonly limit: number
}

export interface ResourceUse {
  /** Open files and sockets of each process that all apps depend on, by role. */
  readonly descriptors: Readonly<Record<string, Use>>
  /** Processes and threads of the whole machine (or container), and the kernel's limit. */
  readonly processes: Use
}

/** Above this part of a limit `/readyz` reports it, as starts are about to fail. */
const NEARLY_ALL = 0.95

/** Reads the use of resources from /proc. A process that has just ended is left out. */
export async function readResourceUse(pids: Readonly<Record<string, number>>): Promise<ResourceUse> {
  const entries = Object.entries(pids).map(async ([role, pid]) => [role, await descriptorsOf(pid)] as const)
  const descriptors = (await Promise.all(entries)).filter(
    (entry): entry is [string, Use] => entry[1] !== undefined,
  )
  const [loadavg, limit] = await Promise.all([
    readFile('/proc/loadavg', 'utf8'),
    readFile('/proc/sys/kernel/threads-max', 'utf8'),
  ])
  // "0.20 0.18 0.12 1/80 11206": running and existing threads are the fourth.
  const used = Number(loadavg.split(' ')[3]?.split('/')[1])
  return { descriptors: Object.fromEntries(descriptors), processes: { used, limit: Number(limit) } }
}

/** A text about a limit that is almost reached; undefined if there is none. */
export function shortage({ descriptors, processes }: ResourceUse): string | undefined {
  const uses = [
    ...Object.entries(descriptors).map(([role, use]) => [`open files of the ${role}`, use] as const),
    ['processes of the machine', processes] as const,
  ]
  const short = uses.find(([, { used, limit }]) => used > limit * NEARLY_ALL)
  return short && `${short[1].used} of ${short[1].limit} ${short[0]} are in use`
}

async function descriptorsOf(pid: number): Promise<Use | undefined> {
  try {
    const [open, limits] = await Promise.all([
      readdir(`/proc/${pid}/fd`),
      readFile(`/proc/${pid}/limits`, 'utf8'),
    ])
    return { used: open.length, limit: Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity) }
  } catch {
    return undefined
  }
}

import { readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

export interface Process {
  readonly pid: number
  readonly ppid: number
  readonly uid: number
}

/** A process and all below it. */
export function treeOf(root: number): Process[] {
  const all = processes()
  const parents = new Map(all.map(({ pid, ppid }) => [pid, ppid]))
  return all.filter(({ pid }) => {
    for (let at: number | undefined = pid; at; at = parents.get(at)) if (at === root) return true
    return false
  })
}

function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const status = read(`/proc/${name}/status`)
      return status
        ? [{ pid: Number(name), ppid: numberOf(status, 'PPid'), uid: numberOf(status, 'Uid') }]
        : []
    })
}

/** The role of a process: `gate`, `API`, `offload-child`, `mongod`, `runner zygote`; undefined once it has ended. */
export function roleOf(pid: number): string | undefined {
  const [program = '', ...args] = (read(`/proc/${pid}/cmdline`) ?? '').split('\0')
  if (program === '') return undefined
  const module = /^fp_runner\.(\w+)/.exec(args[args.indexOf('-m') + 1] ?? '')?.[1]
  if (module) return `runner ${module}`
  const script = basename(args.find((arg) => /\.[cm]?[jt]s$/.test(arg)) ?? program).replace(/\.[jt]s$/, '')
  if (script !== 'server') return script
  return read(`/proc/${pid}/environ`)?.split('\0').includes('FP_ROLE=api') ? 'API' : 'gate'
}

/** KiB; PSS counts a page that n processes share as 1/n. Undefined once it has ended. */
export function memoryOf(pid: number): { pss: number; uss: number } | undefined {
  const text = read(`/proc/${pid}/smaps_rollup`)
  if (!text) return undefined
  return {
    pss: numberOf(text, 'Pss'),
    uss: numberOf(text, 'Private_Clean') + numberOf(text, 'Private_Dirty'),
  }
}

/** Undefined if the process has ended meanwhile. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

function numberOf(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
}

import { readdirSync, readFileSync } from 'node:fs'
import type { PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { row, section, TRIVIAL_APP } from './lib.ts'

const APPS = 50

/** What an awake app costs: its share of memory (PSS), and what is its alone. Needs root to read the apps' maps. */
export async function benchMemory(platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section(`Memory of ${APPS} awake trivial apps`)
  for (let n = 0; n < APPS; n++) {
    const app = await user.liveApp({ code: TRIVIAL_APP }, `bench memory ${n}`)
    await user.call(app.app_id, '/')
  }
  const apps = processes().filter((found) => found.uid >= 200_000 && descends(found.pid, platform.child.pid!))
  if (apps.length === 0) throw new Error('no app process found')
  const sizes = apps.map(({ pid }) => memory(pid))
  const per = (pick: (size: Memory) => number): string =>
    `${(sizes.reduce((sum, size) => sum + pick(size), 0) / APPS / 1024).toFixed(1)} MiB`
  row(
    'an app, proportional share (PSS)',
    per((size) => size.pss),
  )
  row(
    'an app, its own alone (USS)',
    per((size) => size.uss),
  )
}

interface Process {
  readonly pid: number
  readonly ppid: number
  readonly uid: number
}

interface Memory {
  readonly pss: number
  readonly uss: number
}

function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const status = readFileSync(`/proc/${name}/status`, 'utf8')
        const number = (field: string): number =>
          Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1])
        return [{ pid: Number(name), ppid: number('PPid'), uid: number('Uid') }]
      } catch {
        return []
      }
    })
}

function descends(pid: number, ancestor: number): boolean {
  const parents = new Map(processes().map((found) => [found.pid, found.ppid]))
  for (let at: number | undefined = pid; at; at = parents.get(at)) if (at === ancestor) return true
  return false
}

/** KiB */
function memory(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8')
  const number = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
  return { pss: number('Pss'), uss: number('Private_Clean') + number('Private_Dirty') }
}

import type { PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { row, section, TRIVIAL_APP } from './lib.ts'
import { memoryOf, treeOf } from './processes.ts'

const APPS = 50

/** The memory of an awake app: its share (PSS), and the part that only it uses. Needs root to read the apps' maps. */
export async function benchMemory(platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section(`Memory of ${APPS} awake trivial apps`)
  const appProcesses = () => treeOf(platform.child.pid!).filter(({ uid }) => uid >= 200_000)
  // Apps of the parts before may still be awake.
  const others = new Set(appProcesses().map(({ pid }) => pid))
  for (let n = 0; n < APPS; n++) {
    const app = await user.liveApp({ code: TRIVIAL_APP }, `bench memory ${n}`)
    await user.call(app.app_id, '/')
  }
  const apps = appProcesses().filter(({ pid }) => !others.has(pid))
  const sizes = apps.map(({ pid }) => memoryOf(pid)).filter((size) => size !== undefined)
  if (sizes.length === 0) throw new Error('no app process found')
  const per = (pick: (size: (typeof sizes)[number]) => number): string =>
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

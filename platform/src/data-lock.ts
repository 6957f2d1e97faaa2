import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { startTimeOf } from './process-of.ts'

/**
 * Makes sure that only one platform uses a data folder. A lock of a process that no longer exists (kill -9, power cut, pid
 * reused by another program) does not count.
 */
export async function lockDataDir(dataDir: string): Promise<AsyncDisposable> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const file = path.join(dataDir, 'platform.lock')
  const mine = `${process.pid} ${startTimeOf(process.pid) ?? ''}`
  const draft = `${file}.${process.pid}`
  await writeFile(draft, mine)
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        await link(draft, file)
        break
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 5) throw error
      }
      const holder = await readFile(file, 'utf8').catch(() => '')
      const [pid = '', started = ''] = holder.split(' ')
      if (started && startTimeOf(Number(pid)) === started) {
        throw new Error(
          `Another platform (process ${pid}) uses the data folder ${dataDir}. Stop it first, or set FP_DATA_DIR to another folder.`,
        )
      }
      await unlink(file).catch(() => undefined)
    }
  } finally {
    await unlink(draft)
  }
  return {
    async [Symbol.asyncDispose]() {
      if ((await readFile(file, 'utf8').catch(() => '')) === mine) await unlink(file)
    },
  }
}

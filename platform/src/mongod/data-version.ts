import { access, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'

/** The file beside the data that names the MongoDB version that made it. scripts/lib/mongod-version.mjs reads it too. */
const RECORD = 'mongo.made-by'
/** The version that earlier releases of fp, which did not write the file, installed. */
const FIRST = '6.0.27'

/** The version of MongoDB that made the data in a folder; undefined if there is no data yet. */
export async function madeBy(dir: string): Promise<string | undefined> {
  const present = await access(path.join(dir, 'mongo/WiredTiger')).then(
    () => true,
    () => false,
  )
  if (!present) return undefined
  const read = (name: string): Promise<string> => readFile(path.join(dir, name), 'utf8').catch(() => '')
  const record = (await read(RECORD)).trim()
  if (record) return record
  // mongod logs its version at each start.
  const started = /"Build Info","attr":\{"buildInfo":\{"version":"(\d+\.\d+\.\d+)"/.exec(
    await read('mongod.log'),
  )
  return started?.[1] ?? FIRST
}

export async function recordMadeBy(dir: string, version: string): Promise<void> {
  await writeFile(path.join(dir, RECORD), version, { mode: 0o600 })
}

/**
 * Whether one version of MongoDB can open data of another: that of its own major version and of the one before. (The data
 * keeps its featureCompatibilityVersion until somebody raises it.)
 */
export function opens(version: string, maker: string): boolean {
  const [major, minor] = version.split('.').map(Number)
  const [madeMajor, madeMinor] = maker.split('.').map(Number)
  return major === madeMajor ? minor! >= madeMinor! : major === madeMajor! + 1
}

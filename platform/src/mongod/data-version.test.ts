import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { madeBy, opens, recordMadeBy } from './data-version.ts'

describe('the version that made the data', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'fp-test-made-by-'))
    await mkdir(path.join(dir, 'mongo'))
  })
  afterEach(() => rm(dir, { recursive: true }))
  const withData = (): Promise<void> => writeFile(path.join(dir, 'mongo/WiredTiger'), '')

  it('is unknown if there is no data, whatever a failed start has recorded', async () => {
    await recordMadeBy(dir, '8.0.29')
    expect(await madeBy(dir)).toBeUndefined()
  })

  it('is the recorded one, or that of the first start in the log, or 6.0', async () => {
    await withData()
    expect(await madeBy(dir)).toBe('6.0.27')
    const started = (version: string): string =>
      `{"msg":"Build Info","attr":{"buildInfo":{"version":"${version}","gitVersion":"f"}}}\n`
    await writeFile(path.join(dir, 'mongod.log'), started('7.0.28') + started('8.0.29'))
    expect(await madeBy(dir)).toBe('7.0.28')
    await recordMadeBy(dir, '8.0.29')
    expect(await madeBy(dir)).toBe('8.0.29')
  })

  it('can be opened by a later release of its major version and by the next major version', () => {
    const opened = ['6.0.30', '7.0.28', '8.0.29'].map((version) => opens(version, '6.0.27'))
    expect(opened).toEqual([true, true, false])
    expect(opens('6.0.27', '7.0.28')).toBe(false)
    expect(opens('8.0.29', '8.2.3')).toBe(false)
    expect(opens('8.2.3', '8.0.29')).toBe(true)
  })
})

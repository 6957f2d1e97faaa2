import { randomBytes } from 'node:crypto'
import path from 'node:path'
import type { Config } from './config.ts'
import { secretFile } from './secret-file.ts'

/** The key from the settings, or from a file that is created once. Without it no sealed value can be opened. */
export async function readSecretKey(config: Pick<Config, 'secretKey' | 'dataDir'>): Promise<Buffer> {
  if (config.secretKey) return config.secretKey
  const file = path.join(config.dataDir, 'secret.key')
  const key = Buffer.from(await secretFile(file, () => randomBytes(32).toString('base64')), 'base64')
  if (key.length === 32) return key
  throw new Error(`${file} does not hold 32 bytes in base64. Restore it from a backup.`)
}

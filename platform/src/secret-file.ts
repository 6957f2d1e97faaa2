import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, unlink, writeFile } from 'node:fs/promises'
import path from 'node:path'

/**
 * The text of a secret file, which is created (mode 0600) with `make()` if there is none. The file is complete or absent even
 * if the machine stops meanwhile. Two processes that create it at once get the same text, as link(2) fails if the name exists.
 */
export async function secretFile(file: string, make: () => string): Promise<string> {
  const existing = await read(file)
  if (existing !== undefined) return existing
  await mkdir(path.dirname(file), { recursive: true, mode: 0o700 })
  const draft = `${file}.${randomBytes(6).toString('hex')}`
  await writeFile(draft, make(), { mode: 0o600, flush: true })
  try {
    await link(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await unlink(draft)
  }
  const text = await read(file)
  if (text === undefined) throw new Error(`${file} could not be made`)
  return text
}

async function read(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

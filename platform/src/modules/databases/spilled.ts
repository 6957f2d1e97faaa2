import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'

/** Bytes of the files in MongoDB's temporary folder, e.g. those of large sorts. */
export async function spilledIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => [])
  const sizes = names.map((name) =>
    stat(path.join(folder, name)).then(
      ({ blocks }) => blocks * 512,
      // The file was removed meanwhile.
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

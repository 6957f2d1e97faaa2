import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'

/** Bytes of the files that MongoDB keeps in its temporary folder: those of sorts and the like. */
export async function spilledIn(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => [])
  const sizes = names.map((name) =>
    stat(path.join(folder, name)).then(
      ({ blocks }) => blocks * 512,
      // It has gone.
      () => 0,
    ),
  )
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
}

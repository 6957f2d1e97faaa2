import { execFile } from 'node:child_process'
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  statfs,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test, vi } from 'vitest'
import { MIB } from '../limits.ts'
import { createStorage } from './storage.ts'

vi.mock('node:fs/promises', async (importOriginal) => {
  const all = await importOriginal<typeof import('node:fs/promises')>()
  return { ...all, open: vi.fn(all.open), readdir: vi.fn(all.readdir) }
})

const real = await vi.importActual<typeof import('node:fs/promises')>('node:fs/promises')
const run = promisify(execFile)
const needsRoot = test.skipIf(process.getuid?.() !== 0)

/** Runs something in the folder that the app would have. Returns the size of its file system in bytes. */
async function mounted(dir: string, bytes: number, work: (folder: string) => Promise<void>): Promise<number> {
  const storage = await createStorage({ dir, bytes })
  expect(storage.problem).toBeUndefined()
  const folder = join(dir, '..', 'mount')
  await mkdir(folder, { recursive: true })
  const { device, release } = await storage.attach('app-x', 0)
  await run('mount', ['-t', 'ext4', device, folder])
  await release()
  try {
    await work(folder)
    const { blocks, bsize } = await statfs(folder)
    return blocks * bsize
  } finally {
    await run('umount', [folder])
  }
}

needsRoot(
  'a raised limit makes an app’s storage larger, a lowered one keeps it, and its files stay',
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'fp-storage-test-'))
    const dir = join(root, 'storage')
    const kept = (folder: string): Promise<void> =>
      readFile(join(folder, 'kept'), 'utf8').then((text) => expect(text).toBe('yes'))
    try {
      const small = await mounted(dir, 16 * MIB, (folder) => writeFile(join(folder, 'kept'), 'yes'))
      expect(small).toBeLessThan(20 * MIB)
      const grown = await mounted(dir, 64 * MIB, kept)
      expect(grown).toBeGreaterThanOrEqual(64 * MIB)
      expect(await mounted(dir, 16 * MIB, kept)).toBe(grown)
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  },
)

needsRoot(
  'two instances of an app share one device, also where the data folder is a symbolic link',
  async () => {
    const root = await mkdtemp(join(tmpdir(), 'fp-storage-test-'))
    try {
      await mkdir(join(root, 'real'))
      await symlink(join(root, 'real'), join(root, 'link'))
      const storage = await createStorage({ dir: join(root, 'link', 'storage'), bytes: 16 * MIB })
      const [first, second] = await Promise.all([storage.attach('app-x', 0), storage.attach('app-x', 0)])
      expect(second.device).toBe(first.device)
      await Promise.all([first.release(), second.release()])
    } finally {
      await rm(root, { recursive: true, force: true })
    }
  },
)

needsRoot('growing that was cut off is done at the next start', async () => {
  const root = await mkdtemp(join(tmpdir(), 'fp-storage-test-'))
  const dir = join(root, 'storage')
  try {
    await mounted(dir, 16 * MIB, (folder) => writeFile(join(folder, 'kept'), 'yes'))
    await truncate(join(dir, 'app-x.img'), 72 * MIB)
    const grown = await mounted(dir, 64 * MIB, async (folder) =>
      expect(await readFile(join(folder, 'kept'), 'utf8')).toBe('yes'),
    )
    expect(grown).toBeGreaterThanOrEqual(64 * MIB)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
})

/** The loop devices of images in the folder, and those that this process has open. */
async function devicesOf(dir: string): Promise<{ made: string[]; open: string[] }> {
  const { stdout } = await run('losetup', ['--noheadings', '--output', 'NAME,BACK-FILE'])
  const made = stdout.split('\n').filter((line) => line.includes(dir))
  const files = await readdir('/proc/self/fd')
  const links = await Promise.all(files.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return { made, open: links.filter((link) => link.startsWith('/dev/loop')) }
}

function failFor(prefix: string): typeof open {
  return async (path, ...rest) => {
    if (String(path).startsWith(prefix)) throw new Error('no more files')
    return real.open(path, ...rest)
  }
}

needsRoot.each([
  ['cannot be opened', () => vi.mocked(open).mockImplementation(failFor('/dev/loop'))],
  // The first list is read before the device is made.
  [
    'cannot be found',
    () => vi.mocked(readdir).mockResolvedValueOnce([]).mockRejectedValueOnce(new Error('no more files')),
  ],
])('no device is left if it %s', async (_, breakIt) => {
  const root = await mkdtemp(join(tmpdir(), 'fp-storage-test-'))
  try {
    const storage = await createStorage({ dir: join(root, 'storage'), bytes: 16 * MIB })
    // So that no image has to be made below.
    await (await storage.attach('app-x', 0)).release()
    breakIt()
    await expect(storage.attach('app-x', 0)).rejects.toThrow('no more files')
    expect(await devicesOf(root)).toEqual({ made: [], open: [] })
  } finally {
    vi.mocked(open).mockReset()
    vi.mocked(readdir).mockReset()
    await rm(root, { recursive: true, force: true })
  }
})

import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { AppSpec } from '../runtime.ts'
import { createVersionFolders, type VersionFolders } from './files.ts'

let root: string
let folders: VersionFolders
const running = new Set<number>()
const errors: unknown[] = []

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'fp-files-'))
  folders = createVersionFolders({
    root,
    isRunning: (_, version) => running.has(version),
    onError: (error) => errors.push(error),
  })
})
afterEach(async () => {
  running.clear()
  expect(errors).toEqual([])
  await rm(root, { recursive: true })
})

let reads = 0
function spec(
  version: number,
  assets: Record<string, string>,
  files: Record<string, string> = { 'app.py': `${version}` },
): AppSpec {
  return {
    key: `a.${version}.1`,
    appId: 'a',
    ownerId: 'u1',
    version,
    files,
    assets: Object.entries(assets).map(([path, content]) => ({
      path,
      bytes: content.length,
      sha256: createHash('sha256').update(content).digest('hex'),
      read: async () => (reads++, Buffer.from(content)),
    })),
    artifacts: [],
    limits: {},
    entrypoint: 'app.py',
    storage: false,
    env: {},
    sequence: 1,
  }
}

test('a version’s folder has its files and assets, and an unchanged content is not read again', async () => {
  reads = 0
  const first = await folders.of(spec(1, { 'static/a.png': 'one', 'static/deep/b.png': 'two' }))
  expect(await readFile(join(first, 'static/a.png'), 'utf8')).toBe('one')
  expect(await readFile(join(first, 'static/deep/b.png'), 'utf8')).toBe('two')
  expect(await readFile(join(first, 'app.py'), 'utf8')).toBe('1')
  expect(reads).toBe(2)
  const second = await folders.of(spec(2, { 'static/moved.png': 'one', 'static/deep/b.png': 'new' }))
  expect(await readFile(join(second, 'static/moved.png'), 'utf8')).toBe('one')
  expect(reads).toBe(3)
  // A wake of a version that is there reads nothing.
  await folders.of(spec(1, { 'static/a.png': 'one', 'static/deep/b.png': 'two' }))
  expect(reads).toBe(3)
})

test('a version whose asset cannot be read has no folder, rather than half of one', async () => {
  const broken = spec(1, { 'static/a.png': 'one', 'static/b.png': 'two' })
  const failing = {
    ...broken,
    assets: broken.assets.map((asset) =>
      asset.path === 'static/a.png' ? asset : { ...asset, read: () => Promise.reject(new Error('gone')) },
    ),
  }
  await expect(folders.of(failing)).rejects.toThrow('gone')
  expect((await readdir(join(root, 'a'))).filter((name) => name !== '.assets')).toEqual([])
  await folders.of(broken)
})

test('folders of old versions go with their contents, but for one that still runs', async () => {
  running.add(1)
  for (let version = 1; version <= 8; version++) {
    await folders.of(spec(version, { 'static/a.png': `${version}`, 'static/same.png': 'same' }))
  }
  await expect
    .poll(async () => (await readdir(join(root, 'a'))).sort())
    .toEqual(['.assets', 'v1', 'v4', 'v5', 'v6', 'v7', 'v8'])
  await expect.poll(async () => (await readdir(join(root, 'a/.assets'))).length).toBe(7)
  expect((await stat(join(root, 'a/v1/static/same.png'))).nlink).toBe(7)
})

test('concurrent calls for a version get the same complete folder', async () => {
  const wanted = spec(
    1,
    Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`static/${n}.bin`, `${n}`])),
  )
  const [one, two] = await Promise.all([folders.of(wanted), folders.of(wanted)])
  expect(one).toBe(two)
  expect(await readdir(join(one, 'static'))).toHaveLength(20)
  await folders.remove('a')
  expect(await readdir(root)).toEqual([])
})

test('apps can read their files whatever umask the platform has', async () => {
  const before = process.umask(0o077)
  try {
    const files = { 'app.py': '1', 'deep/er/module.py': '2' }
    const folder = await folders.of(spec(1, { 'static/deep/a.png': 'one' }, files))
    const modes = ['.', 'app.py', 'deep', 'deep/er', 'deep/er/module.py', 'static/deep', 'static/deep/a.png']
    const found = await Promise.all(modes.map(async (path) => (await stat(join(folder, path))).mode & 0o777))
    expect(found).toEqual([0o755, 0o644, 0o755, 0o755, 0o644, 0o755, 0o444])
  } finally {
    process.umask(before)
  }
})

test('unfinished files of a killed platform are deleted', async () => {
  await mkdir(join(root, 'a', '.tmp_left'), { recursive: true })
  await writeFile(join(root, 'a', '.tmp_left', 'app.py'), 'half')
  await folders.of(spec(1, {}))
  await expect.poll(() => readdir(join(root, 'a'))).toEqual(['v1'])
})

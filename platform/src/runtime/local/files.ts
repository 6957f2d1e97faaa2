import { chmod, link, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { newId } from '../../ids.ts'
import { KeyedQueue } from '../../queues/keyed-queue.ts'
import type { AppSpec, SpecAsset } from '../runtime.ts'

/** How many of an app's newest versions keep their folders. Running versions also do. */
const KEPT_FOLDERS = 5
/** The folder with the contents of assets by hash. Folders of versions link to these, so unchanged ones are not copied. */
const CONTENTS = '.assets'
/** The prefix of names of folders and files that are being written. */
const DRAFT = 'tmp'
/** Assets that are read and written at a time. */
const AT_ONCE = 4

export interface VersionFolders {
  /** Resolves to the folder with the files of the spec's version. */
  of(spec: AppSpec): Promise<string>
  /** Removes all folders of an app. */
  remove(appId: string): Promise<void>
}

/** Makes the folders of versions that apps see. `isRunning`: the folder is in use. */
export function createVersionFolders(options: {
  readonly root: string
  readonly isRunning: (appId: string, version: number) => boolean
  readonly onError: (error: unknown) => void
}): VersionFolders {
  const { root, isRunning } = options
  /** Orders writes and deletions in an app's folders. */
  const writing = new KeyedQueue()

  return {
    async of(spec) {
      const { appId, version } = spec
      // Checked outside of the queue, so that a wake does not wait there.
      if (await exists(folderOf(root, spec))) return folderOf(root, spec)
      const folder = await writing.run(appId, () => materialize(root, spec))
      writing
        .run(appId, () =>
          forgetVersions(root, appId, (one) => one > version - KEPT_FOLDERS || isRunning(appId, one)),
        )
        .catch(options.onError)
      return folder
    },
    remove: (appId) => writing.run(appId, () => rm(join(root, appId), { recursive: true, force: true })),
  }
}

function folderOf(root: string, { appId, version }: AppSpec): string {
  return join(root, appId, `v${version}`)
}

/**
 * Writes a version's files into a folder of their own and returns it. The folder is a cache of the database and may be
 * deleted at any time. It is written under another name and renamed, so a folder that exists is complete.
 */
async function materialize(root: string, spec: AppSpec): Promise<string> {
  const target = folderOf(root, spec)
  if (await exists(target)) return target
  const draft = join(root, spec.appId, `.${newId(DRAFT)}`)
  try {
    await mkdir(draft, { recursive: true })
    for (const [path, text] of Object.entries(spec.files)) {
      const file = join(draft, path)
      await mkdir(dirname(file), { recursive: true })
      await writeFile(file, text)
      await chmod(file, 0o644)
    }
    await linkAssets(join(root, spec.appId, CONTENTS), draft, spec.assets)
    await openFolders(draft)
    await rename(draft, target)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    if (!(await exists(target))) throw error
  }
  return target
}

/** Lets other system users read: each app has its own user, and the umask of the platform's service may be strict. */
async function openFolders(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await chmod(join(entry.parentPath, entry.name), 0o755)
  }
}

async function linkAssets(contents: string, folder: string, assets: readonly SpecAsset[]): Promise<void> {
  if (assets.length === 0) return
  await mkdir(contents, { recursive: true })
  const left = [...assets]
  const worker = async (): Promise<void> => {
    for (let asset = left.pop(); asset; asset = left.pop()) {
      const content = join(contents, asset.sha256)
      if (!(await exists(content))) await writeWhole(content, await asset.read())
      const file = join(folder, asset.path)
      await mkdir(dirname(file), { recursive: true })
      await link(content, file)
    }
  }
  // Waits for all workers, because the caller deletes their files when one fails.
  const done = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker))
  for (const one of done) if (one.status === 'rejected') throw one.reason
}

/** Writes a file as a whole. Two writers of the same content both succeed. */
async function writeWhole(file: string, content: Buffer): Promise<void> {
  const draft = `${file}.${newId(DRAFT)}`
  await writeFile(draft, content)
  await chmod(draft, 0o444)
  await rename(draft, file)
}

/**
 * Deletes folders of old versions, contents that no folder links to, and unfinished files of a killed platform. Must not run
 * while the app's folder is written.
 */
async function forgetVersions(
  root: string,
  appId: string,
  isKept: (version: number) => boolean,
): Promise<void> {
  const folder = join(root, appId)
  for (const name of await readdir(folder)) {
    const version = /^v(\d+)$/.exec(name)?.[1]
    const isStale = version === undefined ? name.startsWith(`.${DRAFT}_`) : !isKept(Number(version))
    if (isStale) {
      await rm(join(folder, name), { recursive: true, force: true })
    }
  }
  const contents = join(folder, CONTENTS)
  for (const name of await readdir(contents).catch(() => [])) {
    const { nlink } = await stat(join(contents, name))
    if (nlink === 1) await rm(join(contents, name), { force: true })
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

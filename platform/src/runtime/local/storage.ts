import { execFile } from 'node:child_process'
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  realpath,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { newId } from '../../ids.ts'
import { KeyedQueue } from '../../queues/keyed-queue.ts'
import { MIB } from '../limits.ts'

const run = promisify(execFile)
/** The part of an image that the file system itself needs. */
const OVERHEAD = 0.12
/** Bytes of a block of the file system. */
const BLOCK = 4096
/** The offset of ext4's superblock in bytes. Its second word is the number of blocks. */
const SUPERBLOCK = 1024
/** How often a device is looked up: it may disappear before it is opened. */
const ATTEMPTS = 10
/** ms for a command. They usually take some ms. */
const COMMAND_TIMEOUT = 20_000

/** A device that exists until it is released, even if all instances of the app end. */
export interface AttachedStorage {
  readonly device: string
  release(): Promise<void>
}

export interface Storage {
  /** Why no app can have storage here. Undefined: apps can have storage. */
  readonly problem: string | undefined
  /** Attaches the app's file system, and creates it the first time. Release it once the app has mounted it. */
  attach(appId: string, uid: number): Promise<AttachedStorage>
  /** Removes the file system with all files. */
  remove(appId: string): Promise<void>
}

/**
 * Persistent files of apps. Each app has an image of fixed size with an ext4 file system of its own, which it mounts in its
 * namespace. So the kernel enforces the limit, and no app takes room of another.
 */
export async function createStorage(options: { dir: string; bytes: number }): Promise<Storage> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 })
  const problem = await tryStorage()
  const images = await openImages(options)
  return {
    ...images,
    problem,
    attach(appId, uid) {
      if (!problem) return images.attach(appId, uid)
      throw new Error(`The app has storage, which this machine cannot give: ${problem}.`)
    },
  }
}

async function openImages({ dir, bytes }: { dir: string; bytes: number }): Promise<Omit<Storage, 'problem'>> {
  // The kernel reports the image of a device by its real path.
  const folder = await realpath(dir)
  /** Runs one attach per app at a time: two devices of one image would destroy it. */
  const attaching = new KeyedQueue()
  const imageOf = (appId: string): string => join(folder, `${appId}.img`)

  async function attach(appId: string, uid: number): Promise<AttachedStorage> {
    const image = imageOf(appId)
    await makeImage(image, bytes, uid)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const known = await deviceOf(image)
      if (known === undefined) return makeDevice(image, bytes)
      // The device may have been freed with the last instance in between, and may belong to another image now.
      const held = await hold(known, image).catch(() => undefined)
      if (held) return held
    }
    throw new Error(`${await deviceOf(image)}, which has the app's storage, cannot be opened.`)
  }

  return {
    attach: (appId, uid) => attaching.run(appId, () => attach(appId, uid)),
    remove: (appId) => attaching.run(appId, () => rm(imageOf(appId), { force: true })),
  }
}

async function makeDevice(image: string, bytes: number): Promise<AttachedStorage> {
  await growImage(image, bytes)
  const { stdout } = await command('losetup', ['--find', '--show', image])
  const device = stdout.trim()
  let held: AttachedStorage | undefined
  try {
    held = await hold(device, image)
  } finally {
    // The kernel frees the device after its last user. After the release of the result, that is the app's mount.
    await command('losetup', ['--detach', device]).catch(async (error: unknown) => {
      await held?.release()
      throw error
    })
  }
  if (held) return held
  throw new Error(
    `The kernel does not name ${image} as the image of ${device}: a second device could be made of it.`,
  )
}

/** Opens the device, so that it exists until the release. Undefined if its content is not the image. */
async function hold(device: string, image: string): Promise<AttachedStorage | undefined> {
  await using opened = new AsyncDisposableStack()
  opened.use(await open(device, 'r'))
  if ((await deviceOf(image)) !== device) return undefined
  const kept = opened.move()
  return { device, release: () => kept.disposeAsync() }
}

/** The block device whose content is the image. */
async function deviceOf(image: string): Promise<string | undefined> {
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue
    const backing = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => undefined)
    if (backing?.trim() === image) return `/dev/${name}`
  }
  return undefined
}

/** Bytes of an image in which an app can keep `bytes`. */
function imageSize(bytes: number): number {
  return Math.ceil((bytes * (1 + OVERHEAD)) / MIB) * MIB
}

/** Enlarges an image that no app has mounted to the present limit. A larger one stays as it is, so that no file is lost. */
async function growImage(image: string, bytes: number): Promise<void> {
  const size = imageSize(bytes)
  if ((await fileSystemSize(image)) >= size) return
  // resize2fs needs a file system that was checked. Exit code 1: e2fsck repaired something.
  await command('e2fsck', ['-f', '-p', image]).catch((error: unknown) => {
    if ((error as { code?: unknown }).code !== 1) throw error
  })
  await truncate(image, size)
  await command('resize2fs', [image])
}

/** Bytes of the file system by its superblock. The file is larger if an earlier attempt to enlarge it was interrupted. */
async function fileSystemSize(image: string): Promise<number> {
  const file = await open(image, 'r')
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, SUPERBLOCK + 4)
    return buffer.readUInt32LE() * BLOCK
  } finally {
    await file.close()
  }
}

/** Makes an image under another name and renames it, so an existing one is complete. The file is sparse. */
async function makeImage(image: string, bytes: number, uid: number): Promise<void> {
  const exists = await open(image, 'r').then(
    (file) => file.close().then(() => true),
    () => false,
  )
  if (exists) return
  const draft = `${image}.${newId('tmp')}`
  try {
    await writeFile(draft, '', { mode: 0o600 })
    await truncate(draft, imageSize(bytes))
    const features = ['-b', String(BLOCK), '-m', '0', '-J', 'size=4', '-i', '16384']
    await command('mkfs.ext4', ['-q', '-F', ...features, '-E', `root_owner=${uid}:${uid}`, draft])
    await rename(draft, image)
  } finally {
    await rm(draft, { force: true })
  }
}

/** Tries everything that an app with storage needs. Resolves to the problem, or undefined if there is none. */
async function tryStorage(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'it needs root'
  const dir = await mkdtemp(join(tmpdir(), 'fp-storage-'))
  try {
    const images = await openImages({ dir, bytes: 16 * MIB })
    const { device, release } = await images.attach('try', 0)
    try {
      await mkdir(join(dir, 'mount'))
      await command('mount', ['-t', 'ext4', device, join(dir, 'mount')])
      await command('umount', [join(dir, 'mount')])
    } finally {
      await release()
    }
    return undefined
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return `it needs the commands losetup, mount and mkfs.ext4 (${message})`
    return `no file system in a file can be mounted (${message.trim().split('\n').at(-1)})`
  } finally {
    // A folder that is still mounted cannot be removed. The result then has the reason.
    await rm(dir, { recursive: true, force: true }).catch(() => undefined)
  }
}

/** `mkfs` and `losetup` are in folders that are not on every PATH. */
function command(name: string, args: string[]): Promise<{ stdout: string }> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
  return run(name, args, { env, timeout: COMMAND_TIMEOUT })
}

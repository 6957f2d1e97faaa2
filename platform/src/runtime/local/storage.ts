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
import { KeyedQueue } from '../../keyed-queue.ts'

const run = promisify(execFile)
const MIB = 1024 * 1024
/** What the file system itself needs, so that the app has what it was promised. */
const OVERHEAD = 0.12
/** Of the file system, bytes. */
const BLOCK = 4096
/** Where ext4 describes itself, bytes from its begin; the number of blocks is its second word. */
const SUPERBLOCK = 1024
/** A device that was found may end before it is opened; so often it is looked for anew. */
const ATTEMPTS = 10
/** For the commands, which take some ms. */
const COMMAND_TIMEOUT = 20_000

/** A device that stays until it is let go of, however many instances of the app begin and end. */
export interface AttachedStorage {
  readonly device: string
  release(): Promise<void>
}

export interface Storage {
  /** Why no app can have storage here, if so. */
  readonly problem: string | undefined
  /** The app's own file system, made when there is none yet. Release it once the app has mounted it. */
  attach(appId: string, uid: number): Promise<AttachedStorage>
  /** With all that is in it. */
  remove(appId: string): Promise<void>
}

/**
 * Files of apps that last. Each app has an image of fixed size with an ext4 file system of its own, which the app mounts in its
 * namespace: so the limit is the kernel's, and what one app writes takes no room of another.
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
  // As the kernel names it when it says which image a device has.
  const folder = await realpath(dir)
  /** Two devices of one image would destroy it. */
  const attaching = new KeyedQueue()
  const imageOf = (appId: string): string => join(folder, `${appId}.img`)

  async function attach(appId: string, uid: number): Promise<AttachedStorage> {
    const image = imageOf(appId)
    await makeImage(image, bytes, uid)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const known = await deviceOf(image)
      if (known === undefined) return makeDevice(image, bytes)
      const held = await open(known, 'r').catch(() => undefined)
      // Between the two it may have ended with the last instance, and be another's by now.
      if (held && (await deviceOf(image)) === known) return { device: known, release: () => held.close() }
      await held?.close()
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
  const held = await open(device, 'r')
  const found = await deviceOf(image)
  // It ends with its last user, whoever that is: the app's mount, after this one's release.
  await command('losetup', ['--detach', device])
  if (found === device) return { device, release: () => held.close() }
  await held.close()
  throw new Error(
    `The kernel does not name ${image} as the image of ${device}: a second device could be made of it.`,
  )
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

/** An image that no app has mounted gets the size of today's limit, unless it is larger: no file of an app is lost. */
async function growImage(image: string, bytes: number): Promise<void> {
  const size = imageSize(bytes)
  if ((await fileSystemSize(image)) >= size) return
  // resize2fs wants a file system that was checked. 1: there was something to repair, which was done.
  await command('e2fsck', ['-f', '-p', image]).catch((error: unknown) => {
    if ((error as { code?: unknown }).code !== 1) throw error
  })
  await truncate(image, size)
  await command('resize2fs', [image])
}

/** Bytes, by the superblock: the file may be larger, where an attempt to make the file system larger was cut off. */
async function fileSystemSize(image: string): Promise<number> {
  const file = await open(image, 'r')
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, SUPERBLOCK + 4)
    return buffer.readUInt32LE() * BLOCK
  } finally {
    await file.close()
  }
}

/** Written beside its place and renamed: one that exists is whole. It takes as much of the disk as the app has written. */
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

/** Does once what every app with storage needs. */
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
    // A folder that is still mounted stays, with its reason.
    await rm(dir, { recursive: true, force: true }).catch(() => undefined)
  }
}

/** `mkfs` and `losetup` lie in folders that are not on every PATH. */
function command(name: string, args: string[]): Promise<{ stdout: string }> {
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' }
  return run(name, args, { env, timeout: COMMAND_TIMEOUT })
}

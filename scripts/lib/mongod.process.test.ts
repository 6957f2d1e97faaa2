import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { suitable, VERSIONS } from './download-mongod.mjs'
import { mongod } from './mongod.mjs'

let dir: string
let host: Server
let address: string
/** The requests to the download host. */
let asked: string[]
/** The archives of the host, by version: the version that its mongod reports, and whether the checksum is right. */
let archives: Record<string, { says?: string; wrongChecksum?: boolean }>

beforeEach(async () => {
  dir = mkdtempSync(path.join(tmpdir(), 'fp-test-setup-'))
  asked = []
  archives = {}
  // Made only once: the file times of a second archive would differ, and so would its checksum.
  const tarballs: Record<string, Buffer> = {}
  host = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    const version = /-(\d+\.\d+\.\d+)\.tgz/.exec(request.url!)?.[1]
    const archive = archives[version!]
    if (!archive) return response.writeHead(403).end()
    const says = archive.says ?? version!
    const body = (tarballs[says] ??= tarball(says))
    const sum = createHash('md5').update(archive.wrongChecksum ? 'another' : body)
    const answer = request.url!.endsWith('.md5') ? Buffer.from(sum.digest('hex')) : body
    return response.writeHead(200, { 'content-length': answer.length }).end(answer)
  })
  address = await listening(host)
  // Without this machine's mongod and its user's settings.
  for (const name of ['MONGODB_URI', 'FP_MONGOD', 'FP_DATA_DIR']) vi.stubEnv(name, '')
  vi.stubEnv('PATH', path.join(dir, 'path'))
  vi.spyOn(console, 'log').mockImplementation(() => {})
})

afterEach(() => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  host.close()
  rmSync(dir, { recursive: true, force: true })
})

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The output that a person at the terminal would see. */
const said = (): string => vi.mocked(console.log).mock.calls.flat().join('\n')
const downloaded = (): string => path.join(dir, 'mongodb-download/bin/mongod')
const fromWheels = (): string => path.join(dir, 'mongodb/bin/mongod')
const program = (version: string): string => `#!/bin/sh\necho "db version v${version}"\n`

function tarball(version: string): Buffer {
  const root = mkdtempSync(path.join(dir, 'archive-'))
  mkdirSync(path.join(root, 'mongodb/bin'), { recursive: true })
  writeFileSync(path.join(root, 'mongodb/bin/mongod'), program(version), { mode: 0o755 })
  return execFileSync('/bin/tar', ['-c', '-C', root, 'mongodb', '-z'], { env: { PATH: '/usr/bin:/bin' } })
}

/** Replaces pip and the wheels: puts a mongod into the target folder of unpack-mongod.py. */
function python(): string {
  const file = path.join(dir, 'python')
  const text = `#!/bin/sh\n[ "$1" = -m ] && exit 0\n/bin/mkdir -p "$3/bin"\nprintf '#!/bin/sh\\necho "db version v6.0.27"\\n' > "$3/bin/mongod"\n/bin/chmod 755 "$3/bin/mongod"\n`
  writeFileSync(file, text, { mode: 0o755 })
  return file
}

/** One start's set-up of MongoDB. Whether there was something to do. */
async function setUp(options: { host?: string; whenPackages?: Promise<void> } = {}): Promise<boolean> {
  const work = await mongod({
    ...{ python: python(), whenPython: Promise.resolve(), whenPackages: Promise.resolve() },
    ...{ state: dir, host: address, ...options },
  })
  await work?.()
  return Boolean(work)
}

function data(madeBy?: string): void {
  mkdirSync(path.join(dir, 'data/mongodb/mongo'), { recursive: true })
  writeFileSync(path.join(dir, 'data/mongodb/mongo/WiredTiger'), '')
  if (madeBy) writeFileSync(path.join(dir, 'data/mongodb/mongo.made-by'), madeBy)
}

const [first, second] = suitable() as [string, string]

describe('the set-up of MongoDB', () => {
  it("prefers MongoDB's own download, once", async () => {
    archives = { [first]: {} }
    expect(await setUp()).toBe(true)
    expect(execFileSync(downloaded(), { encoding: 'utf8' })).toContain(first)
    expect(existsSync(fromWheels())).toBe(false)
    expect(asked.filter((request) => request.endsWith('.tgz.md5'))).toHaveLength(1)
    asked = []
    expect(await setUp()).toBe(false)
    expect(asked).toEqual([])
  })

  it('downloads the next version if the host does not have the first one for this system', async () => {
    archives = { [second]: {} }
    await setUp()
    expect(readFileSync(downloaded(), 'utf8')).toBe(program(second))
  })

  it.each([
    ['the checksum is wrong', /MD5/i, { wrongChecksum: true }],
    ['it is a version with a known hole', /version 8\.0\.16/, { says: '8.0.16' }],
    ['it does not say its version', /version unknown/, { says: 'x' }],
    ['the host has none', /403/, undefined],
  ])('uses the wheels where %s, and does not try again', async (_, reason, archive) => {
    archives = archive ? { [first]: archive } : {}
    await setUp()
    expect(existsSync(downloaded())).toBe(false)
    expect(readFileSync(fromWheels(), 'utf8')).toBe(program('6.0.27'))
    expect(said()).toMatch(reason)
    asked = []
    expect(await setUp()).toBe(false)
    expect(asked).toEqual([])
  })

  it('uses the wheels if the host cannot be reached, without waiting for the npm packages', async () => {
    await new Promise((resolve) => host.close(resolve))
    await setUp({ whenPackages: new Promise(() => {}) })
    expect(existsSync(fromWheels())).toBe(true)
    expect(said()).toMatch(/127\.0\.0\.1:\d+ cannot be reached/)
    expect(await setUp()).toBe(false)
  })

  it('gives up on a host that accepts the connection and does not answer', async () => {
    const silent = createServer(() => {})
    await setUp({ host: await listening(silent) })
    silent.closeAllConnections()
    silent.close()
    expect(existsSync(fromWheels())).toBe(true)
  })

  it.each([undefined, '6.0.27'])('keeps 6.0 for the data that 6.0 made (record: %s)', async (record) => {
    archives = { [first]: {} }
    data(record)
    await setUp()
    expect(existsSync(fromWheels())).toBe(true)
    expect(existsSync(downloaded())).toBe(false)
    expect(asked).toEqual([])
    expect(said()).toMatch(/To move to 8\.0, see/)
  })

  it('downloads for data that a newer version made, though the wheels are installed', async () => {
    await setUp()
    archives = { [first]: {} }
    data(first)
    await setUp()
    expect(existsSync(downloaded())).toBe(true)
  })

  it('keeps the wheels if they are installed already', async () => {
    await setUp()
    archives = { [first]: {} }
    expect(await setUp()).toBe(false)
  })

  it.each(['MONGODB_URI', 'FP_MONGOD'])('has nothing to do if %s is set', async (name) => {
    vi.stubEnv(name, 'set')
    expect(await setUp()).toBe(false)
  })

  it('has nothing to do if a good mongod is on the PATH', async () => {
    mkdirSync(path.join(dir, 'path'))
    writeFileSync(path.join(dir, 'path/mongod'), program('7.0.28'), { mode: 0o755 })
    expect(await setUp()).toBe(false)
    expect(asked).toEqual([])
  })
})

it('does not take MongoDB 8 for a kernel on which it refuses to start', () => {
  const hasEight = (kernel: string): boolean => suitable(kernel).some((version) => version.startsWith('8.'))
  expect(['6.18.4-1-amd64', '6.1.0-28-amd64', '7.0.14', '7.1.0-rc1'].map(hasEight)).not.toContain(false)
  expect(['6.19.0', '6.20.1-generic', '7.0.0', '7.0.13-1-amd64'].map(hasEight)).not.toContain(true)
  expect(suitable('6.19.0')).toEqual(VERSIONS.filter((version: string) => version.startsWith('7.')))
})

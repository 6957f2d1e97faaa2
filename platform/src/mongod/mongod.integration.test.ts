import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFile,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MongoClient, UUID } from 'mongodb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../config.ts'
import { sessionProblem } from '../plugins/mongo.ts'
import { argumentsOf } from '../process-of.ts'
import { findMongod } from './binary.ts'
import { MAX_LOG_BYTES, rotateLog } from './daemon.ts'
import { madeBy } from './data-version.ts'
import { startMongod, type ManagedMongod, type MongodOptions } from './mongod.ts'
import { socketHost } from './sockets.ts'

const { candidates } = loadConfig(process.env).mongod
const running: ManagedMongod[] = []
let dir: string
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'fp-mongod-test-'))
})
afterEach(async () => {
  await Promise.all(running.splice(0).map((mongod) => mongod.stop()))
  await rm(dir, { recursive: true, force: true })
})

async function start(options: Partial<MongodOptions> = {}): Promise<ManagedMongod> {
  const mongod = await startMongod({ dir, candidates, ...options })
  running.push(mongod)
  return mongod
}

async function write(mongod: ManagedMongod, text: string): Promise<string[]> {
  await using client = new MongoClient(mongod.uri('fp'))
  const notes = client.db().collection<{ text: string }>('notes')
  await notes.insertOne({ text }, { writeConcern: { w: 'majority', journal: true } })
  return (await notes.find().toArray()).map((note) => note.text)
}

/** Waits for one restart after the other. */
class Restarts {
  #next = Promise.withResolvers<void>()
  readonly one = (): void => this.#next.resolve()

  async next(): Promise<void> {
    await this.#next.promise
    this.#next = Promise.withResolvers()
  }
}

describe('the managed MongoDB', () => {
  it('is a primary with users, transactions and change streams, for this machine alone', async () => {
    const mongod = await start()
    await using client = new MongoClient(mongod.uri('fp'))
    await client.withSession((session) =>
      session.withTransaction(
        async () => void (await client.db().collection('a').insertOne({}, { session })),
      ),
    )
    const stream = client.db().collection('a').watch()
    await stream.close()
    await using stranger = new MongoClient(
      `mongodb://${socketHost(mongod.sockets.platform)}/?directConnection=true`,
    )
    await expect(stranger.db('fp').collection('a').findOne({})).rejects.toThrow(/requires authentication/)
    for (const file of ['mongo-root.password', 'mongo.key']) {
      expect(((await stat(path.join(dir, file))).mode & 0o777).toString(8)).toBe('600')
    }
  })

  it('finds everything again after a stop', async () => {
    const first = await start()
    await write(first, 'one')
    await first.stop()
    const second = await start()
    expect(await write(second, 'two')).toEqual(['one', 'two'])
  })

  it('has no port that another program could use, and only the platform reaches its sockets', async () => {
    const mongod = await start()
    const inodes = (await readdir(`/proc/${mongod.pid()}/fd`)).map((fd) =>
      readlink(`/proc/${mongod.pid()}/fd/${fd}`).catch(() => ''),
    )
    const sockets = new Set((await Promise.all(inodes)).map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]))
    const listening = (
      await Promise.all(['tcp', 'tcp6'].map((name) => readFile(`/proc/net/${name}`, 'utf8')))
    )
      .flatMap((table) => table.trim().split('\n').slice(1))
      .map((line) => line.trim().split(/\s+/)[9])
      .filter((inode) => sockets.has(inode))
    expect(listening).toEqual([])
    expect(sockets.size).toBeGreaterThan(2)
    for (const socket of Object.values(mongod.sockets) as string[]) {
      expect(((await stat(path.dirname(socket))).mode & 0o777).toString(8)).toBe('700')
    }
  })

  it('works in a folder whose path is too long for a socket', async () => {
    const deep = path.join(dir, 'x'.repeat(80))
    const mongod = await start({ dir: deep })
    expect(await write(mongod, 'one')).toEqual(['one'])
    await mongod.stop()
    expect(await write(await start({ dir: deep }), 'two')).toEqual(['one', 'two'])
  })

  it('is found by its replica set after its folder was moved', async () => {
    const first = await start({ dir: path.join(dir, 'a') })
    await write(first, 'one')
    await first.stop()
    await rename(path.join(dir, 'a'), path.join(dir, 'b'))
    expect(await write(await start({ dir: path.join(dir, 'b') }), 'two')).toEqual(['one', 'two'])
  })

  it('restarts by itself when it is killed 5 times in a row, with all acknowledged writes', async () => {
    const restarts = new Restarts()
    const mongod = await start({ onRestart: restarts.one })
    await write(mongod, 'one')
    for (let round = 0; round < 5; round++) {
      const before = mongod.pid()
      process.kill(before, 'SIGKILL')
      await restarts.next()
      expect(mongod.pid()).not.toBe(before)
    }
    expect(await write(mongod, 'two')).toEqual(['one', 'two'])
  })

  it('does not outlive a platform that is killed, and the next start takes over', async () => {
    const program = `
      import { startMongod } from ${JSON.stringify(new URL('./mongod.ts', import.meta.url).href)}
      const mongod = await startMongod(JSON.parse(process.argv[1]))
      console.log(mongod.pid())
      setInterval(() => {}, 1000)`
    const child = spawn(
      process.execPath,
      ['--conditions=@fp/source', '--input-type=module', '-e', program, JSON.stringify({ dir, candidates })],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const [pid] = (await once(child.stdout, 'data')) as [Buffer]
    child.kill('SIGKILL')
    await once(child, 'exit')
    const next = await start()
    expect(argumentsOf(Number(String(pid)))).toBeUndefined()
    expect(await write(next, 'one')).toEqual(['one'])
  })

  it('begins a new log while it runs, and keeps one old one', async () => {
    const mongod = await start()
    const log = path.join(dir, 'mongod.log')
    for (const _ of [1, 2]) {
      await appendFile(log, Buffer.alloc(MAX_LOG_BYTES))
      await rotateLog(dir, mongod.uri('fp'))
    }
    await rotateLog(dir, mongod.uri('fp'))
    expect((await stat(`${log}.1`)).size).toBeGreaterThan(MAX_LOG_BYTES)
    expect((await readdir(dir)).filter((name) => name.startsWith('mongod.log'))).toHaveLength(2)
    await using stranger = new MongoClient(mongod.uri('fp').replace(/:[^:@]+@/, ':wrong@'))
    await expect(stranger.connect()).rejects.toThrow(/Authentication failed/)
    expect(await readFile(log, 'utf8')).toContain('Authentication failed')
    expect((await stat(log)).size).toBeLessThan(MAX_LOG_BYTES)
  })

  it('is reported to accept no sessions when users have opened as many as are allowed', async () => {
    const { file, env } = await findMongod({ candidates })
    const wrapper = path.join(dir, 'mongod')
    const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
    const few = `sed -i 's/"maxSessions": [0-9]*/"maxSessions": 20/' "$2" 2>/dev/null`
    await writeFile(wrapper, `#!/bin/sh\n${few}\nexec env ${variables.join(' ')} ${file} "$@"\n`, {
      mode: 0o755,
    })
    const mongod = await start({ candidates: [wrapper] })
    await using client = new MongoClient(mongod.uri('fp'))
    expect(await sessionProblem({ client })).toBeUndefined()
    const sessions = Array.from({ length: 20 }, () => ({ id: new UUID() }))
    await client
      .db('admin')
      .command({ refreshSessions: sessions })
      .catch(() => undefined)
    expect(await sessionProblem({ client })).toMatch(/accepts no new sessions: .*[Ss]ession/)
  })

  it('says what to do if no mongod is found', async () => {
    await expect(findMongod({ candidates: ['/nowhere/mongod'] })).rejects.toThrow(/MONGODB_URI/)
    await expect(findMongod({ candidates: ['/bin/false'] })).rejects.toThrow(/No MongoDB was found/)
  })

  it('skips a mongod that leaks memory, unless FP_MONGOD names it', async () => {
    const old = path.join(dir, 'mongod')
    await writeFile(old, '#!/bin/sh\necho "db version v6.0.5"\n', { mode: 0o755 })
    const warnings: string[] = []
    const onWarning = (warning: string): void => void warnings.push(warning)
    const found = await findMongod({ candidates: [old, ...candidates], onWarning })
    expect(found.file).not.toBe(old)
    expect(warnings).toEqual([expect.stringMatching(/is not used: version 6\.0\.5 .*CVE-2025-14847/)])
    await expect(findMongod({ candidates: [old] })).rejects.toThrow(/CVE-2025-14847/)
    expect((await findMongod({ candidates: [old], chosen: true, onWarning })).file).toBe(old)
    expect(warnings[1]).toMatch(/used because FP_MONGOD names it/)
  })

  it('uses the version that made the data if a newer one cannot open it', async () => {
    const newer = path.join(dir, 'mongod')
    await writeFile(newer, '#!/bin/sh\necho "db version v99.0.0"\n', { mode: 0o755 })
    const first = await start()
    await write(first, 'one')
    await first.stop()
    // Data of an earlier release, which did not record the version.
    await rm(path.join(dir, 'mongo.made-by'))
    const warnings: string[] = []
    const next = await start({
      candidates: [newer, ...candidates],
      onWarning: (warning) => void warnings.push(warning),
    })
    expect(next.version).toBe(first.version)
    expect(await write(next, 'two')).toEqual(['one', 'two'])
    expect(warnings).toEqual([expect.stringMatching(/99\.0\.0 does not open data that .* dump/)])
    expect(await madeBy(dir)).toBe(first.version)
  })
})

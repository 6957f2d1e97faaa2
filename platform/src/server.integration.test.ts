import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { choosePort } from './listen.ts'
import { argumentsOf } from './process-of.ts'

const SERVER = path.join(import.meta.dirname, 'server.ts')
const children: ChildProcess[] = []
let dataDir: string
let port: number
beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'fp-server-test-'))
  port = await choosePort({ port: 0, hosts: ['127.0.0.1'] })
})
afterEach(async () => {
  for (const child of children.splice(0)) await stop(child)
  await rm(dataDir, { recursive: true, force: true })
})

interface Server {
  readonly child: ChildProcess
  readonly url: string
  /** What the process and its children have written. */
  output(): string
  mongodPid(): Promise<number>
}

/** The real process, with its own MongoDB. */
async function start(env: Record<string, string> = {}): Promise<Server> {
  const child = spawn(process.execPath, ['--conditions=@fp/source', SERVER], {
    env: {
      PATH: process.env['PATH'],
      FP_PORT: String(port),
      FP_DATA_DIR: dataDir,
      FP_LOG_LEVEL: 'warn',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let output = ''
  child.stderr?.on('data', (chunk) => (output += chunk))
  await new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk) => {
      output += chunk
      if (output.includes('fp is ready')) resolve()
    })
    child.once('exit', () => reject(new Error(output)))
  })
  const lock = path.join(dataDir, 'mongodb/mongo/mongod.lock')
  return {
    child,
    url: `http://localhost:${port}`,
    output: () => output,
    mongodPid: async () => Number(await readFile(lock, 'utf8')),
  }
}

async function stop(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  child.kill(signal)
  const [code] = (await once(child, 'exit')) as [number | null]
  return code
}

const account = { username: 'ada', email: 'ada@example.com', password: 'correct horse' }
const login = { username: account.username, password: account.password }
function post(url: string, route: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' }
  return fetch(url + route, { method: 'POST', headers, body: JSON.stringify(body) })
}

describe('the process', () => {
  it('stops everything on Ctrl-C, and finds the accounts again', async () => {
    const first = await start()
    expect((await post(first.url, '/api/auth/signup', account)).status).toBe(201)
    const mongod = await first.mongodPid()
    // It would exit with 1 if it had to give up on an orderly end.
    expect(await stop(first.child, 'SIGINT')).toBe(0)
    expect(first.output()).toContain('requests under way are answered first, for up to 2 s.')
    expect(argumentsOf(mongod)).toBeUndefined()

    const second = await start()
    expect((await post(second.url, '/api/auth/login', login)).status).toBe(200)
  })

  it('recovers after kill -9: no stale lock, no orphaned mongod, no lost account', async () => {
    const first = await start()
    expect((await post(first.url, '/api/auth/signup', account)).status).toBe(201)
    const mongod = await first.mongodPid()
    await stop(first.child, 'SIGKILL')
    const second = await start()
    expect(argumentsOf(mongod)).toBeUndefined()
    expect((await post(second.url, '/api/auth/login', login)).status).toBe(200)
  })

  it('says why SIGTERM does not stop the API alone, and what does', async () => {
    const { child, url, output } = await start({ FP_LOG_LEVEL: 'info' })
    const api = childrenOf(child.pid!).find((pid) => argumentsOf(pid)?.includes(SERVER))!
    process.kill(api, 'SIGTERM')
    await expect.poll(output).toContain('The API ignores SIGTERM')
    expect(output()).toContain(`stop the gate (process ${child.pid})`)
    expect(output()).toContain(`kill -9 ${api}`)
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
  })

  it('stops in order when its terminal is closed', async () => {
    const { child } = await start()
    // No exit code means that the signal itself has ended it.
    expect(await stop(child, 'SIGHUP')).not.toBeNull()
  })

  it('answers a running request before it stops', async () => {
    // More than the usual grace: on a busy machine a sign-up may take longer.
    const { child } = await start({ FP_SHUTDOWN_GRACE_S: '30' })
    const socket = connect(port, '127.0.0.1')
    const body = JSON.stringify(account)
    socket.write(
      `POST /api/auth/signup HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
    )
    await once(socket, 'connect')
    const answer = socket.toArray()
    // The server has the headers once it answers another request that came later.
    await fetch(`http://127.0.0.1:${port}/healthz`)
    const exit = stop(child, 'SIGINT')
    await refused(port)
    socket.write(body)
    expect((await answer).join('')).toMatch(/^HTTP\/1\.1 201 /)
    expect(await exit).toBe(0)
  })

  it('refuses a second platform on the same data, and a port in use, with clear errors', async () => {
    const { child } = await start()
    await expect(start()).rejects.toThrow(`Another platform (process ${child.pid}) uses the data folder`)
    const other = dataDir
    dataDir = await mkdtemp(path.join(tmpdir(), 'fp-server-test-'))
    await expect(start()).rejects.toThrow(/Port \d+ is in use.*FP_PORT/)
    await rm(dataDir, { recursive: true })
    dataDir = other
  })

  it('names every wrong setting', async () => {
    const child = spawn(process.execPath, ['--conditions=@fp/source', SERVER], {
      env: { FP_PORT: 'x', FP_SIGNUP: 'y' },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const text = (await child.stderr.toArray()).join('')
    expect(text).toMatch(/FP_PORT is "x": set a port.*\n.*FP_SIGNUP is "y": set one of open, closed/)
  })
})

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
}

/** Resolves when nothing listens on the port any more. */
async function refused(port: number): Promise<void> {
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    })
    socket.destroy()
    if (!open) return
  }
}

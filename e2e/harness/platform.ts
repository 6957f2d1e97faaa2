import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Front } from './user.ts'

/** The whole product as `npm start` runs it: the platform's built processes with MongoDB, zygote and apps. */
export interface PlatformUnderTest extends Front {
  readonly dataDir: string
  readonly child: ChildProcess
  /** Everything the process has printed. */
  output(): string
  /** Sends SIGTERM and waits for the end. The data stays. Resolves to the exit code, or null after a killing signal. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** Stops, and deletes the data. */
  [Symbol.asyncDispose](): Promise<void>
}

export const ROOT = resolve(import.meta.dirname, '../..')
const READY_LIMIT = 60_000

export async function startPlatform(
  options: { dataDir?: string; env?: Record<string, string>; port?: number } = {},
): Promise<PlatformUnderTest> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'fp-e2e-')))
  const port = options.port ?? (await freePort())
  const child = spawn(join(ROOT, 'platform/node.sh'), ['.fp/build/server.js'], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_BINARY: process.execPath,
      FP_PORT: String(port),
      FP_DATA_DIR: dataDir,
      FP_LOG_FORMAT: 'json',
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  const url = `http://localhost:${port}`
  await untilReady(url, child, () => text)

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
    return child.exitCode
  }
  return {
    url,
    address: '127.0.0.1',
    port,
    appDomain: `localhost:${port}`,
    dataDir,
    child,
    output: () => text,
    stop,
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function untilReady(url: string, child: ChildProcess, output: () => string): Promise<void> {
  const end = Date.now() + READY_LIMIT
  while (Date.now() < end) {
    if (child.exitCode !== null) throw new Error(`The platform ended with ${child.exitCode}:\n${output()}`)
    const ready = await fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    )
    if (ready) return
    await new Promise((done) => setTimeout(done, 25))
  }
  child.kill('SIGKILL')
  throw new Error(`The platform is not ready after ${READY_LIMIT / 1000} s:\n${output()}`)
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

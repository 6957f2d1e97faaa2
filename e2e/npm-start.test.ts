import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { freePort, ROOT } from './harness/platform.ts'

let dataDir: string
const started: number[] = []
beforeEach(async () => void (dataDir = await mkdtemp(join(tmpdir(), 'fp-npm-'))))
afterEach(async () => {
  for (const pid of started.splice(0)) if (isThere(pid)) process.kill(pid, 'SIGKILL')
  await rm(dataDir, { recursive: true, force: true })
})

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const until = (condition: () => boolean): Promise<void> =>
  expect.poll(condition, { timeout: 60_000 }).toBe(true)

interface Started {
  /** The pid of the command. */
  readonly child: ChildProcess
  readonly platform: number
  readonly mongod: number
  output(): string
}

/** The platform as a shell starts it by this command; resolves once it is ready. */
async function start(command: string): Promise<Started> {
  const child = spawn('/bin/sh', ['-c', command], {
    cwd: ROOT,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      FP_PORT: String(await freePort()),
      FP_DATA_DIR: dataDir,
      FP_LOG_FORMAT: 'json',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  await until(() => text.includes('fp is ready') || (child.exitCode ?? 0) > 0)
  if (!text.includes('fp is ready')) throw new Error(text)
  const platform = Number((await readFile(join(dataDir, 'platform.lock'), 'utf8')).split(' ', 1)[0])
  const mongod = Number(await readFile(join(dataDir, 'mongodb/mongo/mongod.lock'), 'utf8'))
  started.push(platform, mongod)
  return { child, platform, mongod, output: () => text }
}

describe('the platform that npm has started', () => {
  test('stops in order when npm is killed, and leaves nothing behind', async () => {
    const { child, platform, mongod, output } = await start('exec npm start')
    child.kill('SIGKILL')
    await once(child, 'exit')
    await until(() => !isThere(platform))
    expect(output()).toContain('Stopping, because npm has ended.')
    expect(isThere(mongod)).toBe(false)
  })

  test('is npm’s child, even if the shell that has started npm in the background ends', async () => {
    const { child, platform, output } = await start('nohup npm start 2>&1 & echo "npm is $!"')
    if (child.exitCode === null) await once(child, 'exit')
    const npm = Number(/npm is (\d+)/.exec(output())?.[1])
    const status = await readFile(`/proc/${platform}/status`, 'utf8')
    expect(Number(/^PPid:\s*(\d+)/m.exec(status)?.[1])).toBe(npm)
    process.kill(npm, 'SIGTERM')
    await until(() => !isThere(platform))
    expect(output()).not.toContain('npm has ended')
  })
})

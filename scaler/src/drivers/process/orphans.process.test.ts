import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { runs, until } from '../../../test/contract/processes.ts'

/**
 * A replica with an endless response, a child, and a grandchild in a session of its own. It writes its ids and, when it gets
 * SIGTERM, a file. If `deaf`, it and its child ignore SIGTERM.
 */
const APP = `
  const { spawn } = require('node:child_process')
  const { writeFileSync, renameSync } = require('node:fs')
  const [listen, notes, deaf] = process.argv.slice(1)
  const idle = 'setInterval(() => {}, 1000)'
  const onTerm = deaf ? 'process.on("SIGTERM", () => {});' : ''
  const options = { stdio: 'inherit' }
  const child = spawn(process.execPath, ['-e', onTerm + idle], options)
  const stray = spawn(process.execPath, ['-e', idle], { ...options, detached: true })
  process.on('SIGTERM', () => { writeFileSync(notes + '.term', ''); if (!deaf) process.exit() })
  require('node:http').createServer((request, response) => {
    if (request.url !== '/stream') return response.end()
    setInterval(() => response.write('more'), 5)
  }).listen(listen, () => {
    writeFileSync(notes + '.part', JSON.stringify({ listen, pids: [process.pid, child.pid, stray.pid] }))
    renameSync(notes + '.part', notes)
  })
`

/** The tests that look for processes by /proc. */
const LINUX = process.platform === 'linux'

let folder: string
let embedder: ChildProcess
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'scaler-orphans-'))
})
afterEach(async () => {
  if (runs(embedder.pid!)) embedder.kill('SIGKILL')
  await rm(folder, { recursive: true })
})

/** Starts a program with a process driver, which runs `body` with (driver, scale, crash). */
function embed(body: string, { deaf = false, stopTimeout = 30_000 } = {}): void {
  const script = `
    import { request } from 'node:http'
    import { createProcessDriver } from ${JSON.stringify(join(import.meta.dirname, 'driver.ts'))}
    const driver = createProcessDriver({
      command: (key, { socketPath }) => ({
        command: process.execPath,
        args: ['-e', ${JSON.stringify(APP)}, socketPath, ${JSON.stringify(folder)} + '/' + key, ${deaf ? "'deaf'" : "''"}],
        listen: 'socket',
      }),
      stopTimeout: ${stopTimeout},
    })
    await driver.watch((key, { ready: [endpoint] }) => {
      if (endpoint) request({ socketPath: endpoint.url.pathname, path: '/stream' }, (answer) => {
        answer.once('data', () => process.stdout.write('streams'))
      }).once('error', () => undefined).end()
    })
    const scale = (key) => driver.scale(key, 1, { signal: new AbortController().signal })
    setInterval(() => {}, 1000)
    ${body}`
  embedder = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // A group of its own, as the job of a terminal has.
    detached: true,
  })
}

interface Notes {
  readonly listen: string
  readonly pids: readonly number[]
}

async function streaming(key = 'app'): Promise<Notes> {
  await once(embedder.stdout!, 'data')
  return JSON.parse(readFileSync(join(folder, key), 'utf8')) as Notes
}

async function ended({ listen, pids }: Notes): Promise<void> {
  const [app, child, stray] = pids
  // Only Linux says which processes have left the group.
  const all = LINUX ? [app!, child!, stray!] : [app!, child!]
  await until(() => !all.some(runs))
  await until(() => !existsSync(dirname(listen)))
}

const END: [string, string, () => void][] = [
  ['SIGTERM', '', () => embedder.kill('SIGTERM')],
  ['SIGKILL', '', () => embedder.kill('SIGKILL')],
  ['SIGKILL to its process group', '', () => process.kill(-embedder.pid!, 'SIGKILL')],
  [
    'Ctrl-C twice',
    `process.once('SIGINT', async () => {
       process.stdout.write('first', () => process.kill(process.pid, 'SIGUSR2'))
       await new Promise(() => {})
     })
     process.once('SIGUSR2', () => undefined)`,
    () => {
      process.kill(-embedder.pid!, 'SIGINT')
      embedder.stdout!.once('data', () => process.kill(-embedder.pid!, 'SIGINT'))
    },
  ],
  [
    'an error that nobody catches',
    `process.once('SIGUSR2', () => { throw new Error('expected by the test') })`,
    () => embedder.kill('SIGUSR2'),
  ],
  ['process.exit', `process.once('SIGUSR2', () => process.exit(3))`, () => embedder.kill('SIGUSR2')],
]

describe('no process is left, and no folder, when the program is ended', () => {
  test.each(END)('by %s with a stream open, and replicas get SIGTERM', async (_name, body, end) => {
    embed(`${body}; await scale('app')`)
    const notes = await streaming()
    end()
    await ended(notes)
    expect(existsSync(join(folder, 'app.term'))).toBe(true)
  })

  test('by SIGKILL if its replicas ignore SIGTERM', async () => {
    embed(`await scale('app')`, { deaf: true, stopTimeout: 200 })
    const notes = await streaming()
    embedder.kill('SIGKILL')
    await ended(notes)
    expect(existsSync(join(folder, 'app.term'))).toBe(true)
  })

  test('by SIGKILL while a replica is being stopped', async () => {
    embed(
      `await scale('app')
       process.once('SIGUSR2', () => driver.scale('app', 0, { signal: new AbortController().signal }))`,
      { deaf: true, stopTimeout: 1_000 },
    )
    const notes = await streaming()
    embedder.kill('SIGUSR2')
    await until(() => existsSync(join(folder, 'app.term')))
    embedder.kill('SIGKILL')
    await ended(notes)
  })

  test.runIf(LINUX)('by SIGKILL after its guard was ended and another replica was started', async () => {
    embed(`await scale('app'); process.once('SIGUSR2', () => scale('two'))`)
    const one = await streaming()
    const guards = childrenOf(embedder.pid!).filter(({ command }) => command.includes('scaler-guard'))
    process.kill(guards[0]!.pid, 'SIGKILL')
    await until(() => !runs(guards[0]!.pid))
    embedder.kill('SIGUSR2')
    const two = await streaming('two')
    embedder.kill('SIGKILL')
    await ended(two)
    await ended(one)
  })

  test.runIf(LINUX)('by SIGKILL in the middle of starts', async () => {
    for (let round = 0; round < 5; round++) {
      const mark = join(folder, `round-${round}-`)
      embed(`
        process.stdout.write('starts')
        for (let n = 0; ; n++) {
          await scale('round-${round}-' + n)
          if (n < ${10 + round}) continue
          process.kill(process.pid, 'SIGKILL')
        }`)
      await once(embedder, 'exit')
      await until(() => !processes().some(({ command }) => command.includes(mark)))
    }
  })
})

test('a driver that was disposed leaves no process, not even one that has left its group', async () => {
  embed(
    `await scale('app')
     process.once('SIGUSR2', async () => {
       await driver[Symbol.asyncDispose]()
       process.stdout.write('disposed')
     })`,
    { stopTimeout: 200 },
  )
  const notes = await streaming()
  embedder.kill('SIGUSR2')
  await once(embedder.stdout!, 'data')
  await ended(notes)
  if (LINUX) expect(childrenOf(embedder.pid!)).toEqual([])
})

interface Process {
  readonly pid: number
  readonly parent: number
  readonly command: string
}

/** All processes that this user can see, by /proc. */
function processes(): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8')
        return state === 'Z' ? [] : [{ pid: Number(name), parent: Number(parent), command }]
      } catch {
        return []
      }
    })
}

const childrenOf = (pid: number): Process[] => processes().filter(({ parent }) => parent === pid)

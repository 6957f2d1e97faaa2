import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { News } from '../../contract/news.ts'
import { answers, get } from '../../contract/http.ts'
import { runs, until } from '../../../test/contract/processes.ts'
import type { Endpoint, TargetState } from '../../types.ts'
import { createProcessDriver } from './driver.ts'
import type { ProcessDriver, ProcessDriverOptions, ProcessSpec } from './options.ts'

const { signal } = new AbortController()
const ready = ({ ready: { length } }: TargetState): boolean => length > 0
const failed = ({ failure }: TargetState): boolean => failure !== undefined

let driver: ProcessDriver | undefined
let news: News
let output = ''
afterEach(async () => {
  await news[Symbol.asyncDispose]()
  await driver?.[Symbol.asyncDispose]()
})

/** A driver that uses the command from `spec` for every target. */
async function drive(
  spec: ProcessDriverOptions['command'],
  options: Omit<ProcessDriverOptions, 'command'> = {},
): Promise<ProcessDriver> {
  output = ''
  driver = createProcessDriver({
    command: spec,
    onOutput: (_key, { text }) => void (output += text),
    ...options,
  })
  news = await News.of(driver)
  return driver
}

/** A Node server in one line of code; `handler` handles (request, response). */
function server(handler: string, rest = ''): ProcessDriverOptions['command'] {
  const script = `${rest};
    const server = require('node:http').createServer((q, a) => { ${handler} }).listen(process.argv[1])`
  return (_key, { socketPath }) => node(script, socketPath)
}

function node(script: string, ...args: string[]): ProcessSpec {
  return { command: process.execPath, args: ['-e', script, ...args], listen: 'socket' }
}

async function wake(): Promise<Endpoint> {
  await driver!.scale('app', 1, { signal })
  return (await news.until('app', (state) => ready(state) || failed(state))).ready[0]!
}

async function failure(): Promise<TargetState['failure']> {
  await driver!.scale('app', 1, { signal })
  return (await news.until('app', failed)).failure
}

/** The number after `word` in the output. */
async function printed(word: string): Promise<number> {
  const pattern = new RegExp(`${word} (\\d+)\\n`)
  await until(() => pattern.test(output))
  return Number(pattern.exec(output)![1])
}

describe('a start', () => {
  test('that ends early fails with the exit code and the last lines of stderr', async () => {
    await drive(() => node(`console.error('first\\n\\nlast'); process.exitCode = 7`))
    expect(await failure()).toEqual({
      code: 'PROCESS_EXITED',
      message: 'The process exited with code 7 before it answered a request: last',
      details: { exitCode: 7, signal: null, stderr: ['first', 'last'] },
    })
  })

  test('that is killed early fails with the signal and with only the end of a long stderr', async () => {
    await drive(() =>
      node(
        `const lines = Array.from({ length: 5000 }, (_, i) => 'line ' + i + '\\n');
         require('node:fs').writeSync(2, lines.join('')); process.kill(process.pid, 'SIGKILL')`,
      ),
    )
    const { details, message } = (await failure())!
    const { exitCode, signal: name, stderr } = details as Record<string, string[] | string | null>
    expect([exitCode, name, stderr!.length, stderr!.at(-1)]).toEqual([null, 'SIGKILL', 20, 'line 4999'])
    expect(message).toContain('was ended by SIGKILL before it answered')
  })

  test('that fails does not wait for another process that keeps its output open', async () => {
    await drive(() =>
      node(
        `const { pid } = require('node:child_process').spawn('sleep', ['1000'], { detached: true, stdio: 'inherit' });
         console.log('stranger', pid); process.exit(1)`,
      ),
    )
    expect(await failure()).toMatchObject({ code: 'PROCESS_EXITED' })
    process.kill(await printed('stranger'), 'SIGKILL')
  })

  test.each([
    [
      'a command that does not exist',
      { command: 'no-such-command' },
      'PROCESS_NOT_FOUND',
      /absolute path.*PATH/,
    ],
    [
      'a folder that does not exist',
      { command: process.execPath, cwd: '/no/such' },
      'PROCESS_NOT_FOUND',
      /`cwd`/,
    ],
    ['a file that is no program', { command: import.meta.filename }, 'PROCESS_NOT_STARTED', /EACCES/],
    ['an impossible name', { command: 'a\0b' }, 'PROCESS_NOT_STARTED', /null bytes/],
  ])('of %s fails immediately with the reason', async (_name, spec, code, message) => {
    await drive(() => ({ ...spec, listen: 'socket' }))
    expect(await failure()).toMatchObject({ code, message: expect.stringMatching(message) as string })
    expect(news.of('app')).toHaveLength(1)
  })

  test('of a target that has no command fails, and so does one whose command throws', async () => {
    await drive(() => undefined)
    expect(await failure()).toMatchObject({ code: 'PROCESS_UNKNOWN_TARGET' })
    await driver![Symbol.asyncDispose]()
    await drive(() => {
      throw new Error('no idea')
    })
    expect(await failure()).toMatchObject({
      code: 'PROCESS_NOT_STARTED',
      message: expect.stringContaining('no idea') as string,
    })
  })

  test('inherits no environment, and reports its phases', async () => {
    await drive((key, place) => ({
      ...server('a.end(JSON.stringify(process.env))')(key, place)!,
      env: { ONE: '1' },
    }))
    expect(JSON.parse((await get(await wake())).text)).toEqual({ ONE: '1' })
    const phases = news.of('app').at(-1)!.phases!
    expect(phases.map(({ name }) => name)).toEqual(['spawned', 'ready'])
    expect(phases[0]!.at).toBeLessThanOrEqual(phases[1]!.at)
  })
})

describe('readiness', () => {
  test('is any status below 500', async () => {
    await drive(server(`a.writeHead(n++ < 3 ? 503 : 404).end(String(n))`, 'let n = 0'))
    expect(await get(await wake())).toEqual({ status: 404, text: '5' })
  })

  test('is the configured status at the configured path', async () => {
    await drive(server(`a.writeHead(q.url !== '/health' ? 500 : n++ < 3 ? 200 : 204).end()`, 'let n = 0'), {
      readiness: { path: '/health', status: 204 },
    })
    expect((await get(await wake(), '/health')).status).toBe(204)
  })
})

describe('a stop', () => {
  test('lets a replica finish its open requests', async () => {
    await drive(
      server(
        `if (q.url !== '/long') return a.end();
         process.once('SIGTERM', () => server.close() && a.end('whole')); console.log('arrived 1')`,
      ),
    )
    const answer = get(await wake(), '/long')
    await printed('arrived')
    await driver!.scale('app', 0, { signal })
    expect(news.ready('app')).toEqual([])
    expect((await answer).text).toBe('whole')
  })

  test('that is ignored is followed by SIGKILL', async () => {
    await drive(server('a.end()', `process.on('SIGTERM', () => {}); console.log('pid', process.pid)`), {
      stopTimeout: 50,
    })
    const endpoint = await wake()
    const pid = await printed('pid')
    await driver!.scale('app', 0, { signal })
    await until(() => !runs(pid))
    expect(await answers(endpoint)).toBe(false)
  })

  const withChild = (options: string): ProcessDriverOptions['command'] =>
    server(
      `a.end()`,
      `const { pid } = require('node:child_process').spawn(process.execPath, ['-e',
       'process.on("SIGTERM", () => {}); console.log("deaf 1"); setInterval(() => {}, 1000)'], ${options});
       console.log('child', pid); console.log('pid', process.pid)`,
    )

  test.each(['{ stdio: "inherit" }', '{ stdio: ["ignore", "inherit", "ignore"] }'])(
    'reaches children that do not listen, with %s',
    async (options) => {
      await drive(withChild(options), { stopTimeout: 50 })
      await wake()
      const child = await printed('child')
      await printed('deaf')
      await driver!.scale('app', 0, { signal })
      await until(() => !runs(child))
    },
  )

  test('by a crash ends the children too', async () => {
    await drive(withChild('{ stdio: "inherit" }'))
    await wake()
    const child = await printed('child')
    process.kill(await printed('pid'), 'SIGKILL')
    expect(await news.until('app', failed)).toMatchObject({
      ready: [],
      failure: {
        code: 'PROCESS_EXITED',
        message: 'The process was ended by SIGKILL while it was running.',
      },
    })
    await until(() => !runs(child))
  })
})

describe('the socket', () => {
  test('is in a folder that only its owner can enter, with a path that is short enough for every system', async () => {
    await drive(server('a.end()'))
    const { pathname } = (await wake()).url
    expect(statSync(dirname(pathname)).mode & 0o777).toBe(0o700)
    expect(pathname.length).toBeLessThan(104)
  })
})

describe('disposal', () => {
  test('leaves no process, no folder and no listener, and refuses later calls', async () => {
    const listeners = process.listenerCount('exit')
    await drive(server('a.end()', `console.log('pid', process.pid)`))
    const { pathname } = (await wake()).url
    const pid = await printed('pid')
    await driver!.scale('starting', 1, { signal })
    await Promise.all([driver![Symbol.asyncDispose](), driver![Symbol.asyncDispose]()])
    expect(runs(pid)).toBe(false)
    expect(existsSync(dirname(pathname))).toBe(false)
    expect(process.listenerCount('exit')).toBe(listeners)
    expect(news.ready('app')).toEqual([])
    expect(news.of('starting').some(ready)).toBe(false)
    await expect(driver!.scale('app', 1, { signal })).rejects.toThrow('disposed')
  })

  test('that was forgotten happens when this process exits', async () => {
    await drive(() => undefined)
    const module = JSON.stringify(`${import.meta.dirname}/driver.ts`)
    const script = `import { createProcessDriver } from ${module}
      const driver = createProcessDriver({
        command: (key, { socketPath }) => ({
          command: process.execPath,
          args: ['-e', 'console.log(process.pid, process.argv[1]); setInterval(() => {}, 1000)', socketPath],
          listen: 'socket',
        }),
        onOutput: (_key, { text }) => {
          process.stdout.write(text, () => { throw new Error('nobody catches this') })
        },
      })
      await driver.scale('app', 1, { signal: new AbortController().signal })
      setInterval(() => {}, 1000)`
    const embedder = spawn(process.execPath, ['--input-type=module-typescript', '-e', script])
    const [text] = (await once(embedder.stdout, 'data')) as [Buffer]
    const [pid, socketPath] = String(text).trim().split(' ')
    await once(embedder, 'exit')
    await until(() => !runs(Number(pid)) && !existsSync(dirname(socketPath!)))
  })
})

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { createInterface, type Interface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import WebSocket from 'ws'
import { runs, until } from '../../scaler/test/contract/processes.ts'

let app: ChildProcess
let lines: Interface
let exited: Promise<unknown[]>
let port: number

async function start(idleTimeout: number): Promise<void> {
  app = spawn(process.execPath, ['--conditions=@fp/source', 'app.ts'], {
    cwd: import.meta.dirname,
    env: { PATH: process.env['PATH'], PORT: '0', IDLE_TIMEOUT: String(idleTimeout) },
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  exited = once(app, 'exit')
  lines = createInterface({ input: app.stdout! })
  const [line] = (await once(lines, 'line')) as [string]
  port = Number(line.split(':').at(-1))
}
afterEach(async () => {
  app.kill('SIGTERM')
  await exited
})

async function get(host: string, path = '/'): Promise<{ status: number; text: string }> {
  const [response] = (await once(
    request({ port, path, headers: { host }, agent: false }).end(),
    'response',
  )) as [IncomingMessage]
  return { status: response.statusCode!, text: await text(response) }
}

async function status(): Promise<unknown> {
  return JSON.parse((await get('localhost', '/status')).text)
}

/** The processes that the app has started, by their ids: the servers, and the guard of the process driver. */
function children(): { servers: number[]; guards: number[] } {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid=,args='], { encoding: 'utf8' }).trim().split('\n')
  const servers: number[] = []
  const guards: number[] = []
  for (const row of rows) {
    const [, pid, parent, args] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(row)!
    if (Number(parent) !== app.pid || !runs(Number(pid))) continue
    // The script of the guard has several lines, of which `ps` shows its name as an argument at the end.
    ;(args!.includes('scaler-guard') ? guards : servers).push(Number(pid))
  }
  return { servers, guards }
}

test('each server sleeps until it is asked for, and Ctrl-C leaves none of them', async () => {
  await start(1_000_000)
  expect(await status()).toEqual({ files: 'asleep', hello: 'asleep', chat: 'asleep' })
  expect(children().servers).toEqual([])

  const hello = await get('hello.localhost', '/any/path')
  const [, pid, path] = /^Hello from process (\d+): you asked for (.*)\n$/.exec(hello.text)!
  expect([hello.status, path]).toEqual([200, '/any/path'])
  expect(await status()).toEqual({ files: 'asleep', hello: 'awake', chat: 'asleep' })
  expect(children().servers).toEqual([Number(pid)])

  expect((await get('files.localhost', '/package.json')).text).toContain('"embed-scaler-example"')
  const chat = new WebSocket(`ws://127.0.0.1:${port}`, { headers: { host: 'chat.localhost' } })
  await once(chat, 'open')
  chat.send('to everybody')
  expect(String((await once(chat, 'message'))[0])).toBe('to everybody')
  expect(await status()).toEqual({ files: 'awake', hello: 'awake', chat: 'awake' })
  const { servers, guards } = children()
  expect([servers.length, guards.length]).toEqual([3, 1])

  const closed = once(chat, 'close')
  app.kill('SIGINT')
  expect(await exited).toEqual([0, null])
  expect((await closed)[0]).toBe(1001)
  expect([...servers, ...guards].filter(runs)).toEqual([])
})

test('a server that nobody asks any more sleeps again, and is another process when it wakes', async () => {
  await start(1)
  const told: string[] = []
  lines.on('line', (line) => told.push(line))
  const first = (await get('hello.localhost')).text
  await until(() => told.includes('hello sleeps'))
  const second = (await get('hello.localhost')).text
  expect(second).toMatch(/^Hello from process \d+/)
  expect(second).not.toBe(first)
})

test('a name that no server has is not found', async () => {
  await start(1_000_000)
  const { status: code, text: body } = await get('nobody.localhost')
  expect(code).toBe(404)
  expect(body).toContain('there are files, hello, chat')
  const refused = new WebSocket(`ws://127.0.0.1:${port}`, { headers: { host: 'nobody.localhost' } })
  const [, response] = (await once(refused, 'unexpected-response')) as [unknown, IncomingMessage]
  expect(response.statusCode).toBe(404)
})

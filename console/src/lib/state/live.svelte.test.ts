import type { PlatformEvent } from '@fp/sdk/client'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { startApi, type Asked, type TestApi } from '../../../test/api.ts'
import { openPage, type TestPage } from '../../../test/page.ts'
import { live } from './live.svelte.ts'

const EVENTS = 'GET /api/events'

let api: TestApi
let page: TestPage
let heard: PlatformEvent[]
beforeEach(async () => {
  page = openPage()
  api = await startApi()
  heard = []
  onTestFinished(live.on((event) => heard.push(event)))
})

/** Opens the stream of a visible page. */
async function open(): Promise<Asked> {
  onTestFinished(live.start())
  return stream()
}

async function stream(): Promise<Asked> {
  const asked = await api.next(EVENTS)
  asked.response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
  return asked
}

const send = ({ response }: Asked, id: string, event: string, data: unknown = {}): void =>
  void response.write(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`)

test('passes events on, and leaves out those that this console does not know', async () => {
  const asked = await open()
  send(asked, '1.1', 'reset')
  send(asked, '1.2', 'of a newer platform')
  send(asked, '1.3', 'app', { app_id: 'a' })
  send(asked, '1.4', 'app.deleted', { app_id: 'a' })
  await vi.waitFor(() => expect(heard).toHaveLength(3))
  expect(heard).toEqual([
    { name: 'reset' },
    { name: 'app', app: { app_id: 'a' } },
    { name: 'app.deleted', appId: 'a' },
  ])
})

test('goes on after the last event when the connection breaks, and says so meanwhile', async () => {
  const asked = await open()
  send(asked, '1.1', 'app', { app_id: 'a' })
  await vi.waitFor(() => expect(heard).toHaveLength(1))
  expect(live.connected).toBe(true)
  asked.response.destroy()
  await vi.waitFor(() => expect(live.connected).toBe(false))
  const again = await stream()
  expect(again.headers['last-event-id']).toBe('1.1')
  await vi.waitFor(() => expect(live.connected).toBe(true))
})

test('a hidden page closes its stream after a while, and goes on when it is looked at', async () => {
  const asked = await open()
  send(asked, '1.1', 'app', { app_id: 'a' })
  await vi.waitFor(() => expect(heard).toHaveLength(1))
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const closed = new Promise((resolve) => asked.response.once('close', resolve))
  page.look(false)
  vi.advanceTimersByTime(19_000)
  expect(asked.response.destroyed).toBe(false)
  vi.advanceTimersByTime(2_000)
  await closed
  page.look(true)
  expect((await stream()).headers['last-event-id']).toBe('1.1')
})

test('a page that is hidden only for a moment keeps its stream', async () => {
  const asked = await open()
  page.look(false)
  page.look(true)
  send(asked, '1.1', 'reset')
  await vi.waitFor(() => expect(heard).toHaveLength(1))
  expect(api.waiting).toBe(0)
})

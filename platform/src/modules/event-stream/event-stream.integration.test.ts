import { createEventParser } from '@fp/sdk/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'

let bench: ModulesBench
let ann: Requests
let origin: string

beforeAll(async () => {
  bench = await modulesBench()
  ann = bench.as('u_ann')
  origin = await bench.api.listen({ port: 0, host: '127.0.0.1' })
})
afterAll(async () => bench[Symbol.asyncDispose]())

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Seen = { event: string; id: string | undefined; data: any }

/** An open stream. `until` reads on to the first event that fits, and returns it. */
async function open(user: string, lastEventId?: string, at = origin) {
  const closing = new AbortController()
  const response = await fetch(`${at}/api/events`, {
    headers: { authorization: `Bearer ${user}`, ...(lastEventId && { 'last-event-id': lastEventId }) },
    signal: closing.signal,
  })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  const seen: Seen[] = []
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  const parser = createEventParser()
  return {
    seen,
    async until(fits: (event: Seen) => boolean): Promise<Seen> {
      for (let next = 0; ; next++) {
        while (next >= seen.length) {
          const { value, done } = await reader.read()
          if (done) throw new Error(`the stream ended after ${JSON.stringify(seen)}`)
          for (const { event, id, data } of parser.push(value))
            seen.push({ event, id, data: JSON.parse(data) })
        }
        if (fits(seen[next]!)) return seen[next]!
      }
    },
    [Symbol.dispose]: () => closing.abort(),
  }
}

const create = async (by: Requests, name = 'app'): Promise<string> =>
  (await by('POST', '/api/apps', { name, files: HELLO })).body.app_id

test('the first event is a reset; then come a new app, its changes and its deletion', async () => {
  using stream = await open('u_ann')
  expect(await stream.until(() => true)).toMatchObject({ event: 'reset', data: {} })
  const id = await create(ann)
  await stream.until(({ event, data }) => event === 'app' && data.app_id === id && data.status === 'draft')
  await ann('PATCH', `/api/apps/${id}`, { name: 'another name' })
  await stream.until(({ data }) => data.app_id === id && data.name === 'another name')
  await ann('DELETE', `/api/apps/${id}`)
  await stream.until(({ event, data }) => event === 'app.deleted' && data.app_id === id)
})

test('a saved draft, a deployment and each status of the app are told', async () => {
  using stream = await open('u_ann')
  const id = await create(ann)
  const files = { 'app.py': `${HELLO['app.py']}# more\n` }
  await ann('PUT', `/api/apps/${id}/draft`, { files })
  await stream.until(({ data }) => data.app_id === id && data.draft_revision === 2)
  await ann('POST', `/api/apps/${id}/deploy`, {})
  await stream.until(
    ({ event, data }) => event === 'deployment' && data.app_id === id && data.stage === 'ready',
  )
  await stream.until(({ event, data }) => event === 'app' && data.app_id === id && data.live_version === 1)
})

test('nobody hears of the apps of others', async () => {
  using bobs = await open('u_bob')
  await bobs.until(({ event }) => event === 'reset')
  const anns = await create(ann, 'of ann')
  const own = await create(bench.as('u_bob'), 'of bob')
  await bobs.until(({ data }) => data.app_id === own)
  expect(bobs.seen.map(({ data }) => data.app_id)).not.toContain(anns)
})

test('Last-Event-ID goes on where the client was, without a reset; what it missed is told', async () => {
  const id = await create(ann)
  let last: string | undefined
  {
    using stream = await open('u_ann')
    await stream.until(({ event }) => event === 'reset')
    await ann('PATCH', `/api/apps/${id}`, { name: 'first' })
    last = (await stream.until(({ data }) => data.name === 'first')).id
  }
  await ann('PATCH', `/api/apps/${id}`, { name: 'second' })
  using stream = await open('u_ann', last)
  await stream.until(({ data }) => data.name === 'second')
  expect(stream.seen.map(({ event }) => event)).not.toContain('reset')
})

test.each(['nonsense', '1.1', '4000000000.1'])('Last-Event-ID %s is answered with a reset', async (id) => {
  using stream = await open('u_ann', id)
  expect((await stream.until(() => true)).event).toBe('reset')
})

test('another replica goes on where the client was', async () => {
  await using other = await modulesBench({ db: bench.mongo.db, client: bench.mongo.client })
  const otherOrigin = await other.api.listen({ port: 0, host: '127.0.0.1' })
  const id = await create(ann)
  using first = await open('u_ann')
  await first.until(({ event }) => event === 'reset')
  await ann('PATCH', `/api/apps/${id}`, { name: 'told here' })
  const told = await first.until(({ data }) => data.name === 'told here')
  await ann('PATCH', `/api/apps/${id}`, { name: 'told there' })
  await first.until(({ data }) => data.name === 'told there')
  using second = await open('u_ann', told.id, otherOrigin)
  await second.until(({ data }) => data.name === 'told there')
  expect(second.seen.map(({ event }) => event)).not.toContain('reset')
})

test('a stream ends after its lifetime, and the next one goes on after it', async () => {
  const id = await create(ann)
  const service = bench.services.eventStream
  const aborting = new AbortController()
  const events = service.follow('u_ann', { lastEventId: undefined, signal: aborting.signal, lifetime: 300 })
  const seen = []
  for await (const event of events) seen.push(event)
  expect(seen).toMatchObject([{ event: 'reset' }])
  await ann('PATCH', `/api/apps/${id}`, { name: 'between' })
  using next = await open('u_ann', seen[0]!.id)
  await next.until(({ data }) => data.name === 'between')
  expect(next.seen.map(({ event }) => event)).not.toContain('reset')
})

import type { IncomingMessage, ServerResponse } from 'node:http'
import { expect, it } from 'vitest'
import { ApiPlaces, PER_API_CLIENT } from './api-places.ts'

interface Held {
  readonly end: (() => void) | undefined
  readonly cut: () => boolean
}

/** A request that was received completely; `unread` bytes of its answer wait for the client. */
function ask(places: ApiPlaces, { url = '/api/x', unread = 0, client = 'ann' } = {}): Held {
  let destroyed = false
  const socket = { destroy: () => (destroyed = true) }
  const request = { method: 'GET', url, complete: true, socket } as unknown as IncomingMessage
  const answer = { headersSent: unread > 0, writableLength: unread, writeHead: () => undefined }
  return { end: places.take(client, request, answer as unknown as ServerResponse), cut: () => destroyed }
}

it('when all places are taken, the oldest request whose answer is not read gives its place up', () => {
  const places = new ApiPlaces()
  const working = ask(places)
  const slow = [ask(places, { unread: 1 }), ask(places, { unread: 1 })]
  for (let n = 3; n < PER_API_CLIENT; n++) ask(places)
  expect(ask(places).end).toBeDefined()
  expect([working, ...slow].map(({ cut }) => cut())).toEqual([false, true, false])
  // A place that was given up is not released a second time.
  slow[0]!.end!()
  expect(ask(places).end).toBeDefined()
  expect(slow[1]!.cut()).toBe(true)
  expect(ask(places).end).toBeUndefined()
  expect(ask(places, { client: 'bob' }).end).toBeDefined()
  working.end!()
  expect(ask(places).end).toBeDefined()
})

it('the console’s files have places of their own, and probes need none', () => {
  const places = new ApiPlaces()
  for (let n = 0; n < PER_API_CLIENT; n++) {
    ask(places)
    expect(ask(places, { url: '/_app/a.js' }).end).toBeDefined()
  }
  expect([ask(places).end, ask(places, { url: '/' }).end]).toEqual([undefined, undefined])
  for (const url of ['/healthz', '/readyz']) expect(ask(places, { url }).end).toBeDefined()
})

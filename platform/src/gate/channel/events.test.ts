import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { expect, test } from 'vitest'
import { openChannel } from '../../../test/channel.ts'
import { fakeGate } from '../../../test/fake-gate.ts'
import type { PlatformEvent } from '../../events.ts'

/** An event with this text. */
function progress(message: string): PlatformEvent {
  return { name: 'app.progress', payload: { userId: 'u_ann', appId: 'a', version: 1, revision: 1, message } }
}

function heard(client: { onEvent(listener: (event: PlatformEvent) => void): Disposable }) {
  const messages: string[] = []
  const listening = client.onEvent(({ payload }) => messages.push((payload as { message: string }).message))
  return { messages, listening }
}

test('a connected client gets all events from then on, in order and unchanged', async () => {
  const gate = fakeGate()
  const { client } = await openChannel(gate)
  const { messages, listening } = heard(client)
  const other = heard(client)
  const sent = Array.from({ length: 2_000 }, (_, n) => `${n} ü \u2028 \r\n \u0085 "`)
  for (const message of sent) gate.emit(progress(message))
  await expect.poll(() => messages.length).toBe(sent.length)
  expect(messages).toEqual(sent)
  listening[Symbol.dispose]()
  gate.emit(progress('last'))
  await expect.poll(() => other.messages.at(-1)).toBe('last')
  expect(messages).toHaveLength(sent.length)
})

test('a listener that does not read is disconnected', async () => {
  const gate = fakeGate()
  const { client, socket, errors } = await openChannel(gate)
  const { messages } = heard(client)
  const sent = request({ socketPath: socket, path: '/events' }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.on('error', () => undefined)
  expect(gate.listeners()).toBe(2)
  const closed = new Promise((resolve) => response.once('close', resolve))
  // The client of the channel reads meanwhile.
  for (let n = 0; gate.listeners() === 2; n++) {
    expect(n).toBeLessThan(50)
    gate.emit(progress('a'.repeat(2 ** 20)))
    await expect.poll(() => messages.length).toBe(n + 1)
  }
  response.resume()
  await closed
  expect(errors).toEqual([])
})

test('a client that was disconnected gets later events again', async () => {
  const gate = fakeGate()
  const { client, errors } = await openChannel(gate)
  const { messages } = heard(client)
  // More than is buffered for a listener, before it can read.
  for (let n = 0; n < 8; n++) gate.emit(progress('a'.repeat(2 ** 20)))
  await expect.poll(() => errors.length).toBeGreaterThan(0)
  await expect.poll(() => gate.listeners()).toBe(1)
  gate.emit(progress('after'))
  await expect.poll(() => messages.at(-1)).toBe('after')
})

test('a client of a gate that restarts gets the events of the next gate', async () => {
  const channel = await openChannel(fakeGate())
  const { messages } = heard(channel.client)
  await channel.stop()
  const next = fakeGate()
  await channel.restart(next)
  await expect.poll(next.listeners).toBe(1)
  next.emit(progress('from the next'))
  await expect.poll(() => messages).toEqual(['from the next'])
})

test('the gate knows when there are no more listeners', async () => {
  const gate = fakeGate()
  const { client, server } = await openChannel(gate)
  let unused = false
  const waiting = server.unused().then(() => (unused = true))
  await client.status()
  expect(unused).toBe(false)
  await client[Symbol.asyncDispose]()
  await waiting
  expect(gate.listeners()).toBe(0)
})

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { connect, createServer as createTcpServer, type AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { askPod, httpProbe, phasesOf, type ReadinessOptions } from './probe.ts'

const servers: { closeAllConnections?(): void; close(): unknown }[] = []
/** A generous limit, because the machine may be busy. */
const poll = <T>(look: () => T) => expect.poll(look, { timeout: 10_000 })
const { signal } = new AbortController()

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections?.()
    server.close()
  }
})

async function listen(server: Server | ReturnType<typeof createTcpServer>): Promise<URL> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}
const serve = (listener: RequestListener): Promise<URL> => listen(createServer(listener))
const connections = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === 'TCPSocketWrap').length

describe('the probe', () => {
  const ask = async (options: ReadinessOptions, status: number, headers = {}): Promise<unknown> => {
    const address = await serve((request, response) =>
      response.writeHead(request.url === '/healthy' ? 200 : status, headers).end('text'),
    )
    return httpProbe(options)(address, signal, {})
  }

  test.each([
    [{}, 200, true],
    [{}, 404, true],
    [{}, 500, false],
    [{}, 503, false],
    [{ status: 204 }, 204, true],
    [{ status: 204 }, 200, false],
    [{ path: '/healthy' }, 500, true],
  ])('with %j and status %i is ready: %s', async (options, status, ready) => {
    expect(await ask(options, status)).toEqual({ ready })
  })

  test('reports the phases of a completed start', async () => {
    const headers = { 'server-timing': 'import;dur=12.5, ready;dur=240' }
    const phases = [
      { name: 'import', at: 12.5 },
      { name: 'ready', at: 240 },
    ]
    expect(await ask({}, 200, headers)).toEqual({ ready: true, phases })
    expect(await ask({}, 500, headers)).toEqual({ ready: false })
  })

  test('needs only the status: the response may be endless', async () => {
    const ended = Promise.withResolvers<void>()
    const address = await serve((_request, response) => {
      response.writeHead(200).write('event')
      response.once('close', ended.resolve)
    })
    expect(await httpProbe()(address, signal, {})).toEqual({ ready: true })
    await ended.promise
  })

  test('waits for a response without a time limit, until it is aborted', async () => {
    const asked = Promise.withResolvers<void>()
    const address = await serve((_request, response) => {
      if (servers.length === 1) setTimeout(() => response.end(), 400)
      else asked.resolve()
    })
    expect(await httpProbe()(address, signal, {})).toEqual({ ready: true })
    const silent = await serve(() => asked.resolve())
    const stop = new AbortController()
    const answer = httpProbe()(silent, stop.signal, {})
    await asked.promise
    stop.abort(new Error('not wanted'))
    await expect(answer).rejects.toThrow()
    await poll(connections).toBeLessThanOrEqual(2)
  })

  test('rejects where nobody listens', async () => {
    const address = await serve(() => undefined)
    servers.pop()!.close()
    await expect(httpProbe()(address, signal, {})).rejects.toThrow('ECONNREFUSED')
  })

  test('gives up if the connection is not made in time', async () => {
    // A server that accepts no connections: when its backlog is full, the first packets of connections are lost.
    const code = `require('node:net').createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, function () {
      console.log(this.address().port)
    })`
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [port] = (await once(child.stdout, 'data')) as [Buffer]
    child.kill('SIGSTOP')
    const sockets = Array.from({ length: 8 }, () =>
      connect(Number(port), '127.0.0.1').on('error', () => undefined),
    )
    try {
      await once(sockets[0]!, 'connect')
      const began = performance.now()
      await expect(httpProbe()(new URL(`http://127.0.0.1:${port}`), signal, {})).rejects.toThrow(
        'no connection in time',
      )
      expect(performance.now() - began).toBeGreaterThan(150)
    } finally {
      child.kill('SIGKILL')
      for (const socket of sockets) socket.destroy()
    }
  })

  test('rejects if the connection ends before a response', async () => {
    const address = await listen(createTcpServer((socket) => socket.destroy()))
    await expect(httpProbe()(address, signal, {})).rejects.toThrow()
  })
})

describe('the response of a pod', () => {
  test('has its status, its timing and its text', async () => {
    const address = await serve((request, response) =>
      response.writeHead(500, { 'server-timing': 'a;dur=1' }).end(`{"path":"${request.url}"}`),
    )
    expect(await askPod(address, '/why', signal)).toEqual({
      status: 500,
      timing: 'a;dur=1',
      text: '{"path":"/why"}',
    })
  })

  test('is cut off where it is huge', async () => {
    const closed = Promise.withResolvers<number>()
    const address = await serve((_request, response) => {
      let sent = 0
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(65_536))) sent += 65_536
      }
      response.on('drain', more).once('close', () => closed.resolve(sent))
      more()
    })
    expect((await askPod(address, '/', signal)).text).toHaveLength(64 * 1024)
    expect(await closed.promise).toBeLessThan(64 * 1024 * 1024)
    expect((await askPod(address, '/', signal, { maxText: 10 })).text).toBe('x'.repeat(10))
  })

  test('rejects if it is incomplete', async () => {
    const address = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half')
      setImmediate(() => response.destroy())
    })
    await expect(askPod(address, '/', signal)).rejects.toThrow()
  })
})

test('Server-Timing is parsed to phases, without invalid entries', () => {
  expect(
    phasesOf('interpreter;dur=12.5, cache;desc="hit" , ready; desc=x; dur=240,;dur=3, bad;dur=x'),
  ).toEqual([
    { name: 'interpreter', at: 12.5 },
    { name: 'ready', at: 240 },
  ])
  expect(phasesOf('')).toEqual([])
})

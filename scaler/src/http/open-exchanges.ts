import type { FastifyInstance } from 'fastify'
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { prepareServer } from './server.ts'

/** ms between two searches for connections whose last response has ended, while the server closes. */
const SWEEP_INTERVAL = 50

/** What a proxy must end before its server can close. */
export class OpenExchanges {
  closing = false
  readonly #open = new Set<ServerResponse | Socket>()

  /** A response, or the socket of a WebSocket, until it is closed. */
  add(exchange: ServerResponse | Socket): void {
    this.#open.add(exchange)
    exchange.once('close', () => this.#open.delete(exchange))
  }

  /**
   * When the Fastify instance closes: connections without a request are closed at once, what is still open after `grace` ms is
   * broken off, and `closed` is called when nothing is open any more.
   */
  closeWith(fastify: FastifyInstance, grace: number, clock: Clock, closed: () => Promise<void>): void {
    const { servers, connections } = prepareServer(fastify)
    let sweep: NodeJS.Timeout | undefined
    let cancel: (() => void) | undefined
    fastify.addHook('preClose', (done) => {
      this.closing = true
      // Node does not count a connection as idle on which no request has ever arrived.
      for (const socket of connections) if (socket.bytesRead === 0) socket.destroy()
      sweep = setInterval(() => servers.forEach((server) => server.closeIdleConnections()), SWEEP_INTERVAL)
      cancel = clock.schedule(grace, () => {
        for (const exchange of this.#open) exchange.destroy()
        for (const socket of connections) socket.destroy()
      })
      done()
    })
    fastify.addHook('onClose', async () => {
      clearInterval(sweep)
      // Those of further servers that Fastify has made, such as for the second address of `localhost`.
      for (const exchange of this.#open) await new Promise<void>((done) => exchange.once('close', done))
      cancel?.()
      await closed()
    })
  }
}

import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'

/** Servers on this machine that accept connections from everybody. An isolated app can reach none of them. */
export interface Listeners extends AsyncDisposable {
  /** A port on all addresses of this machine. */
  readonly port: number
  /** IPv4 addresses of this machine, including loopback. This process has reached the port at each of them. */
  readonly addresses: readonly string[]
  /** The name of an abstract socket, without its leading NUL. This process has reached it too. */
  readonly abstract: string
}

export async function listenToAll(): Promise<Listeners> {
  const abstract = `fp-hostile-${randomUUID()}`
  const servers = [createServer((socket) => socket.end()), createServer((socket) => socket.end())] as const
  servers[0].listen(0, '0.0.0.0')
  servers[1].listen(`\0${abstract}`)
  await Promise.all(servers.map((server) => once(server, 'listening')))
  const { port } = servers[0].address() as AddressInfo
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  const addresses = all.filter(({ family }) => family === 'IPv4').map(({ address }) => address)
  for (const host of addresses) await once(connect({ host, port }).resume(), 'connect')
  await once(connect(`\0${abstract}`).resume(), 'connect')
  return {
    port,
    addresses,
    abstract,
    async [Symbol.asyncDispose]() {
      await Promise.all(servers.map((server: Server) => new Promise((done) => server.close(done))))
    },
  }
}

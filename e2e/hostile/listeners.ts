import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { networkInterfaces } from 'node:os'

/** What listens on this machine for everybody who can reach it. An app that is kept apart can reach none. */
export interface Listeners extends AsyncDisposable {
  /** On all addresses of this machine. */
  readonly port: number
  /** IPv4 addresses of this machine, loopback among them. Each has been tried: this process reaches the port there. */
  readonly addresses: readonly string[]
  /** Name of an abstract socket, without its leading NUL. This process reaches that too. */
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

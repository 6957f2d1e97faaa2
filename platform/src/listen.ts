import { once } from 'node:events'
import { chmod, rm } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'

/**
 * Resolves to the port once the server listens, or to undefined for an IPv6 address on a machine without IPv6. Errors say
 * which setting to change.
 */
export async function listenOn(server: Server, host: string, port: number): Promise<number | undefined> {
  try {
    server.listen({ port, host })
    await once(server, 'listening')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (host.includes(':') && (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT')) return undefined
    throw explain(error as NodeJS.ErrnoException, host, port)
  }
  return (server.address() as AddressInfo).port
}

/** Listens on a unix socket to which only this user may connect. Replaces the socket of an earlier process. */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  await rm(path, { force: true })
  server.listen({ path })
  await once(server, 'listening')
  await chmod(path, 0o600)
}

/** A port that is free on all hosts: the given one, or any for 0. Called first, so that a port in use is reported early. */
export async function choosePort(options: { port: number; hosts: readonly string[] }): Promise<number> {
  const servers: Server[] = []
  try {
    let { port } = options
    for (const host of options.hosts) {
      const server = createServer()
      const chosen = await listenOn(server, host, port)
      if (chosen === undefined) continue
      servers.push(server)
      port = chosen
    }
    return port
  } finally {
    await Promise.all(servers.map((server) => new Promise((closed) => server.close(closed))))
  }
}

function explain(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const reasons: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use on ${host}. Stop the program that has it, or set FP_PORT to another port.`,
    EACCES: `Port ${port} needs more rights than this user has. Set FP_PORT to one above 1023.`,
    EADDRNOTAVAIL: `${host} is not an address of this machine. Set FP_HOST.`,
    ENOTFOUND: `${host} cannot be resolved. Set FP_HOST to an address of this machine.`,
  }
  return new Error(reasons[error.code ?? ''] ?? `Cannot listen on ${host}:${port}: ${error.message}`, {
    cause: error,
  })
}

import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ProcessPlace } from './options.ts'

/** The maximum length of a socket path on macOS, in bytes; Linux allows four more. */
const MAX_SOCKET_PATH = 103
const LONGEST_NAME = '/fp-XXXXXX/9007199254740991.sock'

/** Allocates ports and socket paths for replicas, in a folder that only this user can enter. */
export class Places {
  readonly folder: string
  readonly #ports = new Set<number>()
  #last = 0

  constructor() {
    const base = tmpdir()
    const fits = Buffer.byteLength(base + LONGEST_NAME) <= MAX_SOCKET_PATH
    // Only the owner can enter a folder that mkdtemp creates.
    this.folder = mkdtempSync(join(fits ? base : '/tmp', 'fp-'))
  }

  /** Returns the number of the next replica. */
  next(): number {
    return ++this.#last
  }

  async take(replica: number): Promise<ProcessPlace> {
    // The kernel may return the same port twice as long as nobody listens at it.
    let port = await freePort()
    while (this.#ports.has(port)) port = await freePort()
    this.#ports.add(port)
    return { port, socketPath: join(this.folder, `${replica}.sock`), replica }
  }

  async giveBack(place: ProcessPlace): Promise<void> {
    this.#ports.delete(place.port)
    await rm(place.socketPath, { force: true })
  }

  /** Synchronous, because it may run while this process exits. */
  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished } from 'vitest'
import { connectGate, type GateClient } from '../src/gate/channel/client.ts'
import { serveGate, type ChannelServer } from '../src/gate/channel/server.ts'
import type { Gate } from '../src/gate/gate.ts'

export interface Channel {
  readonly socket: string
  readonly client: GateClient
  /** What the client could not do and tries again. */
  readonly errors: Error[]
  readonly server: ChannelServer
  /** The gate's process ends, and another one comes, now or later. */
  stop(): Promise<void>
  restart(gate?: Gate): Promise<void>
}

/** A gate and its client on a real socket. Closed at the end of the test. */
export async function openChannel(gate: Gate, options: { patience?: number } = {}): Promise<Channel> {
  const folder = await mkdtemp(path.join(tmpdir(), 'fp-channel-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const socket = path.join(folder, 'gate.sock')
  const errors: Error[] = []
  let server = await serveGate(gate, socket)
  onTestFinished(() => server[Symbol.asyncDispose]())
  const client = await connectGate(socket, { onError: (error) => errors.push(error), ...options })
  onTestFinished(() => client[Symbol.asyncDispose]())
  return {
    socket,
    client,
    errors,
    get server() {
      return server
    },
    async stop() {
      await server[Symbol.asyncDispose]()
    },
    async restart(next = gate) {
      server = await serveGate(next, socket)
    },
  }
}

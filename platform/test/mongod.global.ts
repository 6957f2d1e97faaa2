import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { loadConfig } from '../src/config.ts'
import { startMongod } from '../src/mongod/mongod.ts'
import type { MongodSockets } from '../src/mongod/sockets.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Address of a real MongoDB without a database in it; see `database.ts`. */
    mongoUri: string
    /** Where the same one listens for the platform and for the relay. */
    mongoSockets: MongodSockets
  }
}

/** One MongoDB for all integration tests: the managed one, in a folder of its own. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const dir = await mkdtemp(path.join(tmpdir(), 'fp-test-mongod-'))
  const mongod = await startMongod({ dir, ...loadConfig(process.env).mongod })
  project.provide('mongoUri', mongod.uri(''))
  project.provide('mongoSockets', mongod.sockets)
  return async () => {
    await mongod.stop()
    await rm(dir, { recursive: true, force: true })
  }
}

import { join } from 'node:path'
import type { AppSpec } from '../runtime.ts'
import type { InstanceEvent } from './protocol.ts'

/** Stands where the host is in the address of an app's database: the runtime puts the app's own socket in its place. */
export const DATABASE_HOST = encodeURIComponent('/run/mongodb/mongodb.sock')

/** Where the sandbox shows apps the folder of their sockets (runner: root.py). */
const FOLDER_IN_SANDBOX = '/run/mongodb'

/** Carries apps' connections to MongoDB; each app has a socket of its own in `folder`, by a name that it alone is told. */
export interface DatabaseSockets {
  readonly folder: string
  open(appId: string): Promise<{ readonly name: string; close(): void }>
}

interface Opened {
  /** What the app sees in `os.environ`. */
  readonly env: Readonly<Record<string, string>>
  /** To be told what happens to the app, in the place of the one that was given. */
  readonly onEvent: (event: InstanceEvent) => void
  close(): void
}

/** Gives an instance its way to the database, until it has ended. `isWalled`: whether apps have a root of their own. */
export async function openDatabase(
  spec: AppSpec,
  onEvent: (event: InstanceEvent) => void,
  sockets: DatabaseSockets | undefined,
  isWalled: boolean,
): Promise<Opened> {
  if (!sockets) return { env: spec.env, onEvent, close: () => undefined }
  const socket = await sockets.open(spec.appId)
  const file = join(isWalled ? FOLDER_IN_SANDBOX : sockets.folder, socket.name)
  const uri = spec.env['PLATFORM_MONGO_URI']?.replace(DATABASE_HOST, encodeURIComponent(file))
  return {
    env: { ...spec.env, ...(uri !== undefined && { PLATFORM_MONGO_URI: uri }) },
    onEvent(event) {
      if (event.event === 'exited') socket.close()
      onEvent(event)
    },
    close: () => socket.close(),
  }
}

import { join } from 'node:path'
import type { AppSpec } from '../runtime.ts'
import type { InstanceEvent } from './protocol.ts'

/** A placeholder for the host in an app's database URI. The runtime replaces it by the app's own socket. */
export const DATABASE_HOST = encodeURIComponent('/run/mongodb/mongodb.sock')

/** Where apps see the folder of the sockets (runner: root.py). */
const FOLDER_IN_SANDBOX = '/run/mongodb'

/** Forwards apps' connections to MongoDB. Each app has a socket of its own in `folder`, with a secret name. */
export interface DatabaseSockets {
  readonly folder: string
  open(appId: string): Promise<{ readonly name: string; close(): void }>
}

interface Opened {
  /** The app's `os.environ`. */
  readonly env: Readonly<Record<string, string>>
  /** Use it in place of the given event handler. */
  readonly onEvent: (event: InstanceEvent) => void
  close(): void
}

/** Opens a socket to the database for an instance until it ends. `isSandboxed`: apps have a root of their own. */
export async function openDatabase(
  spec: AppSpec,
  onEvent: (event: InstanceEvent) => void,
  sockets: DatabaseSockets | undefined,
  isSandboxed: boolean,
): Promise<Opened> {
  if (!sockets) return { env: spec.env, onEvent, close: () => undefined }
  const socket = await sockets.open(spec.appId)
  const file = join(isSandboxed ? FOLDER_IN_SANDBOX : sockets.folder, socket.name)
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

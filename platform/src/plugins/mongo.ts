import { MongoClient, UUID, type Db } from 'mongodb'
import { setTimeout as delay } from 'node:timers/promises'

export interface Mongo {
  readonly client: MongoClient
  /** The platform's own database: the one in the URI, or `fp`. */
  readonly db: Db
}

/** If MongoDB does not answer for this long, in ms, requests fail instead of hanging. */
const SELECTION_TIMEOUT = 5_000

/** Time between two attempts to connect, in ms. */
const RETRY = 500

export interface ConnectOptions {
  /** How long to retry, in ms: a database that starts with the platform, and its users, may be ready later. */
  readonly patience?: number
  /** Called when the first attempt has failed. */
  readonly onWait?: (error: Error) => void
}

/** Connects and makes sure that a primary answers. */
export async function connectMongo(
  uri: string,
  { patience = 0, onWait }: ConnectOptions = {},
): Promise<Mongo> {
  const end = performance.now() + patience
  for (let attempt = 0; ; attempt++) {
    try {
      return await tryConnect(uri)
    } catch (error) {
      if (performance.now() >= end) throw error
      if (attempt === 0) onWait?.(error as Error)
      await delay(RETRY)
    }
  }
}

async function tryConnect(uri: string): Promise<Mongo> {
  const client = new MongoClient(uri, {
    appName: 'fp-platform',
    serverSelectionTimeoutMS: SELECTION_TIMEOUT,
    // An address that no longer exists, such as that of a replaced pod, does not answer at all. With the driver's default it
    // would take 30 s until the name is resolved again.
    connectTimeoutMS: SELECTION_TIMEOUT,
    ignoreUndefined: true,
    maxPoolSize: 50,
  })
  try {
    await client.connect()
    if (!(await isPrimary({ client }))) throw new Error('it is not a primary of a replica set')
  } catch (error) {
    await client.close()
    throw new Error(
      `MongoDB cannot be used: ${(error as Error).message}. Set MONGODB_URI to a replica set that answers.`,
      {
        cause: error,
      },
    )
  }
  return { client, db: client.db(databaseName(uri)) }
}

function databaseName(uri: string): string {
  return /^mongodb(?:\+srv)?:\/\/[^/?]+\/([^?]+)/.exec(uri)?.[1] ?? 'fp'
}

/**
 * Why MongoDB accepts no new sessions. Undefined: it does. There is a limit for the sessions of all users together, which
 * connections that already have a session do not notice.
 */
export async function sessionProblem({ client }: Pick<Mongo, 'client'>): Promise<string | undefined> {
  const sessions = [{ id: new UUID() }]
  const admin = client.db('admin')
  try {
    await admin.command({ refreshSessions: sessions }, { timeoutMS: SELECTION_TIMEOUT })
    return undefined
  } catch (error) {
    return `it accepts no new sessions: ${(error as Error).message}`
  }
}

/** Whether a primary answers. Standalone servers do not count, as they have no transactions and change streams. */
export async function isPrimary({ client }: Pick<Mongo, 'client'>): Promise<boolean> {
  const hello = await client.db('admin').command({ hello: 1 }, { timeoutMS: SELECTION_TIMEOUT })
  return (
    hello['isWritablePrimary'] === true && (hello['setName'] !== undefined || hello['msg'] === 'isdbgrid')
  )
}

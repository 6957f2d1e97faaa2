import { MongoClient, UUID, type Db } from 'mongodb'
import { setTimeout as delay } from 'node:timers/promises'

export interface Mongo {
  readonly client: MongoClient
  /** The platform's own database: the one the address names, else `fp`. */
  readonly db: Db
}

/** A MongoDB that does not answer for this long counts as gone: requests then fail instead of hanging. */
const SELECTION_TIMEOUT = 5_000

/** Between attempts to reach one that is not there yet. */
const RETRY = 500

export interface ConnectOptions {
  /** ms to go on trying: a database that starts together with the platform may come after it, and its users later still. */
  readonly patience?: number
  /** Told of the first attempt that failed. */
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
    // An address that nobody has any more, such as of a pod that was replaced, answers nothing at all: the driver's own 30 s
    // would pass before it asks for the name again.
    connectTimeoutMS: SELECTION_TIMEOUT,
    ignoreUndefined: true,
    maxPoolSize: 50,
  })
  try {
    await client.connect()
    if (!(await isPrimary({ client }))) throw new Error('it is no primary of a replica set')
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
 * Why users of MongoDB cannot begin a session, if so: there is a limit for all of them together, and connections that have
 * one do not notice.
 */
export async function sessionProblem({ client }: Pick<Mongo, 'client'>): Promise<string | undefined> {
  const sessions = [{ id: new UUID() }]
  const admin = client.db('admin')
  try {
    await admin.command({ refreshSessions: sessions }, { timeoutMS: SELECTION_TIMEOUT })
    return undefined
  } catch (error) {
    return `it begins no sessions: ${(error as Error).message}`
  }
}

/** Whether writes are answered. Standalone servers have no transactions and change streams, so they do not count. */
export async function isPrimary({ client }: Pick<Mongo, 'client'>): Promise<boolean> {
  const hello = await client.db('admin').command({ hello: 1 }, { timeoutMS: SELECTION_TIMEOUT })
  return (
    hello['isWritablePrimary'] === true && (hello['setName'] !== undefined || hello['msg'] === 'isdbgrid')
  )
}

import { setTimeout as delay } from 'node:timers/promises'
import { MongoClient, MongoNetworkError, MongoServerError } from 'mongodb'

export const REPLICA_SET = 'fp'
export const ROOT_USER = 'fp_root'
/** A first start formats the data files; recovery after kill -9 reads the journal. */
const START_TIMEOUT = 60_000
const POLL = 20

/** MongoDB's error codes that are handled here. */
const NOT_YET_INITIALIZED = 94
const UNAUTHORIZED = 13
const ALREADY_INITIALIZED = 23
const AUTHENTICATION_FAILED = 18

interface Options {
  /** The host as in a URI: `127.0.0.1:27017`, or the path of a socket with %2F for each slash. */
  readonly address: string
  /** The member's name in the replica set: `host:port` or the path of a socket. mongod must be able to reach itself there. */
  readonly member: string
  readonly password: string
  readonly signal: AbortSignal
}

/**
 * Makes a spawned mongod a primary with a root user, whatever its state: new, interrupted during its first start, or with
 * another member address. `signal` aborts when the process has ended.
 */
export async function becomePrimary(options: Options): Promise<void> {
  const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(START_TIMEOUT)])
  for (;;) {
    try {
      return await tryBecomePrimary({ ...options, signal: deadline })
    } catch (error) {
      // mongod closes all connections when it changes its role, e.g. after a new member address was set.
      if (!(error instanceof MongoNetworkError)) throw error
      await delay(POLL, undefined, { signal: deadline })
    }
  }
}

async function tryBecomePrimary({ address, member, password, signal }: Options): Promise<void> {
  await using anonymous = new MongoClient(`mongodb://${address}/?directConnection=true`, {
    serverSelectionTimeoutMS: START_TIMEOUT,
    heartbeatFrequencyMS: 500,
    minHeartbeatFrequencyMS: POLL,
  } as object)
  await untilUp(anonymous, signal)
  await using root = new MongoClient(rootUri(address, password), { serverSelectionTimeoutMS: START_TIMEOUT })
  const known = await canLogIn(root)
  // Without a user the localhost exception applies: mongod lets this machine initiate the set and create the first user.
  const admin = (known ? root : anonymous).db('admin')
  const config = { _id: REPLICA_SET, members: [{ _id: 0, host: member }] }
  const status = await admin.command({ replSetGetConfig: 1 }).catch((error: unknown) => error)
  if (isCode(status, NOT_YET_INITIALIZED) || isCode(status, UNAUTHORIZED)) {
    await admin.command({ replSetInitiate: config }).catch((error: unknown) => {
      // An earlier start has initiated the set and was killed before it created the user.
      if (!isCode(error, ALREADY_INITIALIZED)) throw error
    })
  } else if (status instanceof Error) {
    throw status
  } else {
    const current = status as unknown as { config: { version: number; members: { host: string }[] } }
    if (current.config.members[0]?.host !== member) {
      await admin.command({
        replSetReconfig: { ...config, version: current.config.version + 1 },
        force: true,
      })
    }
  }
  await untilPrimary(anonymous, signal)
  if (known) return
  await admin.command({ createUser: ROOT_USER, pwd: password, roles: ['root'] }, {
    writeConcern: { w: 'majority', journal: true },
  } as object)
}

export function rootUri(address: string, password: string, database = ''): string {
  return `mongodb://${ROOT_USER}:${encodeURIComponent(password)}@${address}/${database}?authSource=admin&directConnection=true`
}

async function untilUp(client: MongoClient, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const up = await client
      .db('admin')
      .command({ ping: 1 }, { timeoutMS: 1000 })
      .then(
        () => true,
        () => false,
      )
    if (up) return
    await delay(POLL, undefined, { signal })
  }
}

async function untilPrimary(client: MongoClient, signal: AbortSignal): Promise<void> {
  for (;;) {
    signal.throwIfAborted()
    const hello = await client.db('admin').command({ hello: 1 })
    if (hello['isWritablePrimary'] === true) return
    await delay(POLL, undefined, { signal })
  }
}

async function canLogIn(client: MongoClient): Promise<boolean> {
  try {
    await client.connect()
    return true
  } catch (error) {
    if (isCode(error, AUTHENTICATION_FAILED)) return false
    throw error
  }
}

function isCode(error: unknown, code: number): boolean {
  return error instanceof MongoServerError && error.code === code
}

import { randomBytes } from 'node:crypto'
import type { SecretBox } from '../secrets/box.ts'
import type { DatabaseRecord, DatabaseStore } from './store.ts'

export interface DatabaseServiceDeps {
  readonly store: DatabaseStore
  readonly box: SecretBox
  /** `host:port` under which apps reach MongoDB, or several with commas between. */
  readonly mongoHost: string
  /** More options of the URIs, e.g. `directConnection: 'true'`. */
  readonly mongoOptions?: Readonly<Record<string, string>>
  readonly now: () => Date
}

export interface DatabaseService {
  /**
   * The address of the user's own database, made on first use. It has the password in it and is built from the present
   * host: hand it to an app at its start, keep it nowhere.
   */
  uriFor(userId: string): Promise<string>
}

/** MongoDB's own limit for names of databases on Linux, in bytes. */
const MAX_DATABASE_NAME = 63

export function createDatabaseService(deps: DatabaseServiceDeps): DatabaseService {
  const { store, box } = deps
  const context = (userId: string): string => `database\0${userId}`

  /** Every step can be repeated and be raced; a creation that was cut off is completed by the next one. */
  async function ensure(userId: string): Promise<DatabaseRecord> {
    const known = await store.find(userId)
    if (known?.ready) return known
    const password = box.seal(randomBytes(24).toString('base64url'), context(userId))
    const reserved = await store.reserve(userId, databaseName(userId), password, deps.now())
    await store.createUser(reserved.name, box.open(reserved.password, context(userId)))
    await store.markReady(userId)
    return reserved
  }

  return {
    async uriFor(userId) {
      const { name, password } = await ensure(userId)
      const options = new URLSearchParams({ authSource: name, ...deps.mongoOptions })
      const login = `${encodeURIComponent(name)}:${encodeURIComponent(box.open(password, context(userId)))}`
      // Not by `URL`, which knows one host only: a replica set has several.
      return `mongodb://${login}@${deps.mongoHost}/${name}?${options}`
    },
  }
}

/** Names of databases have no case and few signs in MongoDB; user ids have neither, and this says so where it matters. */
export function databaseName(userId: string): string {
  const name = `fp_${userId}`
  if (!/^[a-z0-9_-]+$/.test(name) || name.length > MAX_DATABASE_NAME) {
    throw new Error(`a user id that cannot name a database: ${JSON.stringify(userId)}`)
  }
  return name
}

import { randomBytes } from 'node:crypto'
import type { SecretBox } from '../secrets/box.ts'
import type { DatabaseRecord, DatabaseStore } from './store.ts'
import { fullText, type DatabaseUsage } from './usage.ts'

export interface DatabaseServiceDeps {
  readonly store: DatabaseStore
  readonly box: SecretBox
  /** `host:port` under which apps reach MongoDB, or several with commas between. */
  readonly mongoHost: string
  /** More options of the URIs, e.g. `directConnection: 'true'`. */
  readonly mongoOptions?: Readonly<Record<string, string>>
  /** What each user's database may take. */
  readonly limitBytes: number
  readonly now: () => Date
}

export interface DatabaseState {
  readonly name: string
  readonly limitBytes: number
  /** Undefined until it was measured. */
  readonly usage: DatabaseUsage | undefined
  /** Whether writes are refused, and why. */
  readonly full: string | undefined
}

export interface DatabaseService {
  /**
   * The address of the user's own database, made on first use. It has the password in it and is built from the present
   * host: hand it to an app at its start, keep it nowhere.
   */
  uriFor(userId: string): Promise<string>
  /**
   * Replaces all passwords of an earlier generation; resolves to how many. Apps that run with the old ones cannot connect
   * any more, so this is for a start before any app runs.
   */
  replaceOldPasswords(): Promise<number>
  /** Undefined: the user has none yet. */
  stateOf(userId: string): Promise<DatabaseState | undefined>
}

/**
 * 1: made since no app's memory can hold another's database URI. Raise this number, and the passwords are replaced at the
 * next start, when earlier ones may have become known to others.
 */
const PASSWORD_GENERATION = 1

/** MongoDB's own limit for names of databases on Linux, in bytes. */
const MAX_DATABASE_NAME = 63

export function createDatabaseService(deps: DatabaseServiceDeps): DatabaseService {
  const { store, box } = deps
  const context = (userId: string): string => `database\0${userId}`

  /** Every step can be repeated and be raced; a creation that was cut off is completed by the next one. */
  async function ensure(userId: string): Promise<DatabaseRecord> {
    const known = await store.find(userId)
    if (known?.ready) return known
    const reserved = await store.reserve(
      { userId, name: databaseName(userId), ...newPassword(userId) },
      deps.now(),
    )
    return make(reserved)
  }

  function newPassword(userId: string): { password: string; generation: number } {
    const password = box.seal(randomBytes(24).toString('base64url'), context(userId))
    return { password, generation: PASSWORD_GENERATION }
  }

  async function make(reserved: DatabaseRecord): Promise<DatabaseRecord> {
    const { userId } = reserved
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

    async replaceOldPasswords() {
      const outdated = await store.outdated(PASSWORD_GENERATION)
      for (const old of outdated) {
        const isOld = old.generation !== PASSWORD_GENERATION
        await make(isOld ? await store.replacePassword(old, newPassword(old.userId)) : old)
      }
      return outdated.length
    },

    async stateOf(userId) {
      const { limitBytes } = deps
      const record = await store.find(userId)
      if (!record) return undefined
      const { name, usage, full } = record
      return { name, limitBytes, usage, full: full && usage ? fullText(usage, limitBytes) : undefined }
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

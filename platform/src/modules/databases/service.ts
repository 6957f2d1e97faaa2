import { randomBytes } from 'node:crypto'
import type { SecretBox } from '../secrets/box.ts'
import type { DatabaseRecord, DatabaseStore } from './store.ts'
import { fullText, type DatabaseUsage } from './usage.ts'

export interface DatabaseServiceDeps {
  readonly store: DatabaseStore
  readonly box: SecretBox
  /** `host:port` under which apps reach MongoDB, or several of them, separated by commas. */
  readonly mongoHost: string
  /** Further options of the URIs, e.g. `directConnection: 'true'`. */
  readonly mongoOptions?: Readonly<Record<string, string>>
  /** How large each user's database may be. */
  readonly limitBytes: number
  readonly now: () => Date
}

export interface DatabaseState {
  readonly name: string
  readonly limitBytes: number
  /** Undefined until it was measured. */
  readonly usage: DatabaseUsage | undefined
  /** Why writes are refused. Undefined: they are not. */
  readonly full: string | undefined
}

export interface DatabaseService {
  /**
   * The URI of the user's own database, which is created on first use. The URI contains the password and the present host:
   * give it to an app at its start, and store it nowhere.
   */
  uriFor(userId: string): Promise<string>
  /**
   * Replaces all passwords of an earlier generation; resolves to their number. Apps that run with an old password can no
   * longer connect, so this is for the platform's start, before any app runs.
   */
  replaceOldPasswords(): Promise<number>
  /** Undefined: the user has no database yet. */
  stateOf(userId: string): Promise<DatabaseState | undefined>
}

/**
 * Raise this number when passwords may have become known to others: the next start then replaces all of them. Generation 1
 * are the passwords made since no app's memory can contain another app's database URI.
 */
const PASSWORD_GENERATION = 1

/** MongoDB's own limit for database names on Linux, in bytes. */
const MAX_DATABASE_NAME = 63

export function createDatabaseService(deps: DatabaseServiceDeps): DatabaseService {
  const { store, box } = deps
  const context = (userId: string): string => `database\0${userId}`

  /** Every step can be repeated, also by several callers at once. The next call completes an interrupted creation. */
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
      // `URL` allows one host only, and a replica set has several.
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

/** MongoDB compares database names without case and allows few special characters. User ids have to fit that. */
export function databaseName(userId: string): string {
  const name = `fp_${userId}`
  if (!/^[a-z0-9_-]+$/.test(name) || name.length > MAX_DATABASE_NAME) {
    throw new Error(`a user id that cannot name a database: ${JSON.stringify(userId)}`)
  }
  return name
}

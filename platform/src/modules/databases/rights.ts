import { MongoServerError, type Db } from 'mongodb'
import { readLoad } from './operations.ts'

const ROLE_EXISTS = 51_002
const UNAUTHORIZED = 13

/** Made in each user's own database when it is full for the first time. */
const FULL_ROLE = 'fp_full'

/** What readWrite allows, without everything that makes a database larger. */
const FULL_ACTIONS = [
  'changeStream',
  'collStats',
  'dbHash',
  'dbStats',
  'dropCollection',
  'dropIndex',
  'find',
  'killCursors',
  'listCollections',
  'listIndexes',
  'planCacheRead',
  'remove',
]

/** readWrite includes making collections and indexes; it reaches no other database. */
export const WRITE_ROLE = 'readWrite'

/** Makes the database's user one that may write, or one that may only read and delete. At once for the next command of each session. */
export async function setRights(db: Db, full: boolean): Promise<void> {
  const name = db.databaseName
  if (full) {
    const privileges = [{ resource: { db: name, collection: '' }, actions: FULL_ACTIONS }]
    await db.command({ createRole: FULL_ROLE, privileges, roles: [] }).catch((error: unknown) => {
      if (!(error instanceof MongoServerError && error.code === ROLE_EXISTS)) throw error
    })
  }
  await db.command({ updateUser: name, roles: [{ role: full ? FULL_ROLE : WRITE_ROLE, db: name }] })
  if (full) await endOperations(db)
}

/** A command that runs keeps the rights it began with: one `$out` could write for ever. */
async function endOperations(db: Db): Promise<void> {
  try {
    const { operations } = await readLoad(db.client, [db.databaseName])
    await Promise.all(operations.map((operation) => operation.end()))
  } catch (error) {
    // A MongoDB of the admin's own, whose role for the platform has it not: what runs ends by itself.
    if (!(error instanceof MongoServerError && error.code === UNAUTHORIZED)) throw error
  }
}

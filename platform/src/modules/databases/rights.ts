import { MongoServerError, type Db } from 'mongodb'
import { readLoad } from './operations.ts'

const ROLE_EXISTS = 51_002
const UNAUTHORIZED = 13

/** The role is created in a user's database when that database is full for the first time. */
const FULL_ROLE = 'fp_full'

/** What readWrite allows, except for actions that make a database larger. */
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

/** readWrite includes creating collections and indexes. It gives no access to other databases. */
export const WRITE_ROLE = 'readWrite'

/** Lets the database's user write, or only read and delete. The next command of each session has the new rights. */
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

/** A running command keeps the rights it began with, so one `$out` could write for ever. */
async function endOperations(db: Db): Promise<void> {
  try {
    const { operations } = await readLoad(db.client, [db.databaseName])
    await Promise.all(operations.map((operation) => operation.end()))
  } catch (error) {
    // The admin's own MongoDB has not given the platform this right. Running operations then end by themselves.
    if (!(error instanceof MongoServerError && error.code === UNAUTHORIZED)) throw error
  }
}

import { inject } from 'vitest'
import { newId } from '../src/ids.ts'
import { connectMongo, type Mongo } from '../src/plugins/mongo.ts'

/** Address of a database that no other test uses. */
export function testMongoUri(): string {
  const uri = new URL(inject('mongoUri'))
  uri.pathname = `/test_${newId()}`
  return uri.href
}

/** A connection to a database of its own; dropped at the end. */
export async function testMongo(): Promise<Mongo & AsyncDisposable> {
  const mongo = await connectMongo(testMongoUri())
  return {
    ...mongo,
    async [Symbol.asyncDispose]() {
      await mongo.db.dropDatabase()
      await mongo.client.close()
    },
  }
}

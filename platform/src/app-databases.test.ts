import { MongoClient } from 'mongodb'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createAppDatabases } from './app-databases.ts'
import { loadConfig } from './config.ts'

/** Uses the settings of a cluster. The client does not connect. */
function inCluster(uri: string, env: Record<string, string> = {}): ReturnType<typeof createAppDatabases> {
  const { config } = loadCluster(uri, env)
  const client = new MongoClient(uri)
  return createAppDatabases(
    {
      config,
      mongo: { client, db: client.db() },
      mongoAppsSocket: undefined,
      logger: pino({ level: 'silent' }),
    },
    () => Promise.resolve(),
  )
}
const loadCluster = (uri: string, env: Record<string, string>) => ({
  config: loadConfig({
    FP_RUNTIME: 'kubernetes',
    FP_RUNNER_IMAGE: 'fp/runner:1',
    MONGODB_URI: uri,
    FP_SECRET_KEY: Buffer.alloc(32, 7).toString('base64'),
    ...env,
  }),
})

test('apps of a cluster get the members of its replica set', async () => {
  expect(
    await inCluster('mongodb://fp:pw@db-0.example.com,db-1.example.com/fp?replicaSet=rs0&tls=true'),
  ).toMatchObject({
    host: 'db-0.example.com:27017,db-1.example.com:27017',
    options: { replicaSet: 'rs0', tls: 'true' },
    relay: undefined,
  })
})

test('with a relay in front of MongoDB they get only the relay, and their drivers do not bypass it', async () => {
  const uri = 'mongodb://fp:pw@fp-mongodb-0.fp-mongodb.fp-system.svc:27017/fp?replicaSet=fp'
  const { host, options } = await inCluster(uri, {
    FP_APP_MONGODB_HOST: 'fp-mongodb-0.fp-mongodb.fp-system.svc:27018',
  })
  expect([host, options]).toEqual([
    'fp-mongodb-0.fp-mongodb.fp-system.svc:27018',
    { directConnection: 'true' },
  ])
})

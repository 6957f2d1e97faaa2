import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { becomePrimary } from '../mongod/replica-set.ts'

/** Beside mongod in its pod: it lets this machine alone initiate the replica set and make the first user. */
const { values } = parseArgs({
  options: { host: { type: 'string' }, port: { type: 'string' }, 'password-file': { type: 'string' } },
})
const password = await readFile(values['password-file']!, 'utf8')
const port = Number(values.port ?? 27_017)
await becomePrimary({
  address: `127.0.0.1:${port}`,
  member: values.host!,
  password,
  signal: AbortSignal.timeout(120_000),
})
console.log(`MongoDB is the primary of its replica set, at ${values.host}`)

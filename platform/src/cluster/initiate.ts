import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { becomePrimary } from '../mongod/replica-set.ts'

/** Runs beside mongod in its pod, as mongod accepts replica set initiation and the first user only from its own machine. */
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

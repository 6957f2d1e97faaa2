import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { inRoot } from './paths.mjs'

const FIXED = 'platform/src/mongod/fixed-versions.json'

/** The version in what `mongod --version` prints. */
export function versionIn(text) {
  return /\bdb version v(\d+\.\d+\.\d+)/.exec(text)?.[1]
}

/** As in platform/src/mongod/version.ts, which cannot be loaded before Node 24 is installed. */
export function isAffected(version) {
  const fixed = JSON.parse(readFileSync(inRoot(FIXED), 'utf8'))
  const line = (text) => text.split('.', 2).join('.')
  const numbers = (text) => text.split('.').map(Number)
  const least = numbers(fixed.find((other) => line(other) === line(version)) ?? fixed.at(-1))
  const own = numbers(version)
  const first = own.findIndex((number, at) => number !== least[at])
  return first !== -1 && own[first] < least[first]
}

/**
 * The major version of MongoDB that made the data in a data folder. Undefined when there is no data. The platform writes it
 * (platform/src/mongod/data-version.ts). Releases that did not write it had 6.0.
 */
export function dataMajor(dataDir) {
  const folder = path.join(dataDir, 'mongodb')
  if (!existsSync(path.join(folder, 'mongo/WiredTiger'))) return undefined
  const record = path.join(folder, 'mongo.made-by')
  return existsSync(record) ? Number.parseInt(readFileSync(record, 'utf8'), 10) : 6
}

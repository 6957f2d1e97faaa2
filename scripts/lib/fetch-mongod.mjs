import { errors, MongoBinary } from 'mongodb-memory-server-core'

// usage: fetch-mongod.mjs <folder> <version> [<next best version> …]
// Downloads the first version that exists for this machine, and prints its file as the last line. Run by download-mongod.mjs.

const [downloadDir, ...versions] = process.argv.slice(2)
/** What the download host answers for an archive that it does not have. */
const MISSING = ['Status: 403', 'Status: 404']

for (const version of versions) {
  try {
    console.log(`\n${await MongoBinary.getPath({ version, downloadDir, checkMD5: true })}`)
    process.exit(0)
  } catch (error) {
    const next = MISSING.includes(error.code) || error instanceof errors.KnownVersionIncompatibilityError
    if (!next || version === versions.at(-1)) {
      console.error(error.message)
      process.exit(1)
    }
  }
}

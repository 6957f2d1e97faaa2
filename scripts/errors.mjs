import { readFileSync, writeFileSync } from 'node:fs'
import { errorsPage } from './lib/errors-page.mjs'
import { inRoot } from './lib/paths.mjs'

// npm run errors: writes docs/errors.md from the table of error codes. With --check it fails if the page is not up to date.

const file = inRoot('docs/errors.md')
if (!process.argv.includes('--check')) {
  writeFileSync(file, errorsPage())
} else if (readFileSync(file, 'utf8') !== errorsPage()) {
  console.error('docs/errors.md is not what sdk/src/errors says. Run npm run errors and commit the page.')
  process.exitCode = 1
}

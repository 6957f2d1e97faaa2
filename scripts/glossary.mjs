import { readFileSync } from 'node:fs'
import { inRoot } from './lib/paths.mjs'
import { run } from './lib/run.mjs'
import { unusedTerms } from './lib/glossary.mjs'

// Fails when docs/glossary.md has a term that the code does not use. Run by npm run check.

const SOURCES = [
  '*.ts',
  '*.mjs',
  '*.py',
  '*.svelte',
  ':!:*.test.ts',
  ':!:*/test/*',
  ':!:*/tests/*',
  ':!:e2e',
  ':!:bench',
]
const files = (await run('git', ['ls-files', '--', ...SOURCES])).trim().split('\n')
const code = files.map((file) => readFileSync(inRoot(file), 'utf8')).join('\n')
const unused = unusedTerms(readFileSync(inRoot('docs/glossary.md'), 'utf8'), code)
if (unused.length > 0) {
  console.error(`docs/glossary.md explains terms that the code does not use: ${unused.join(', ')}`)
  process.exitCode = 1
}

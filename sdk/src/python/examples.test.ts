import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { validate } from './testing.ts'

const EXAMPLES = fileURLToPath(new URL('../../../examples', import.meta.url))

function filesOf(folder: string): Record<string, string> {
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(paths.map((path) => [relative(folder, path), readFileSync(path, 'utf8')]))
}

const apps = readdirSync(EXAMPLES, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => [entry.name, filesOf(join(EXAMPLES, entry.name))] as const)
  .filter(([, files]) => Object.keys(files).some((path) => path.endsWith('.py')))

test.each(apps)('the example %s has no error', (_, files) => {
  expect(validate(files).filter(({ severity }) => severity === 'error')).toEqual([])
})

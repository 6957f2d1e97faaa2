import { execFile } from 'node:child_process'
import { glob, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

// Part of `npm run build`: takes the types away that no export leads to. They would be a fifth of the package.

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>
}

const PACKAGE = path.resolve(import.meta.dirname, '..')
const { exports } = JSON.parse(await readFile(path.join(PACKAGE, 'package.json'), 'utf8')) as Manifest
// `./package.json` is exported as it is.
const entries = Object.values(exports).flatMap((to) =>
  typeof to === 'string' ? [] : path.join(PACKAGE, to.types),
)
const listing = ['--listFilesOnly', '--ignoreConfig', '--module', 'nodenext', '--target', 'es2024']
const { stdout } = await promisify(execFile)('tsc', [...listing, ...entries])
const reached = new Set(stdout.split('\n'))
for await (const file of glob(path.join(PACKAGE, 'dist/**/*.d.ts'))) {
  if (!reached.has(file)) await rm(file)
}

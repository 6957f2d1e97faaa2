import type { Damage } from './damage.ts'
import type { Resolver } from './resolve.ts'
import type { Scopes } from './scopes.ts'
import type { Source } from './source.ts'
import type { SyntaxTree } from './syntax.ts'

/** A file with everything that can be computed from it alone. */
export interface ParsedFile {
  readonly source: Source
  readonly tree: SyntaxTree
  readonly scopes: Scopes
  readonly damage: Damage
  readonly hasSyntaxError: boolean
}

/** A file as part of a project. */
export interface PythonFile extends ParsedFile {
  readonly resolver: Resolver
}

/** How a rule gets another file of the app. */
export type FileLookup = (path: string) => PythonFile | undefined

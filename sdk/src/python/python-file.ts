import type { Damage } from './damage.ts'
import type { Resolver } from './resolve.ts'
import type { Scopes } from './scopes.ts'
import type { Source } from './source.ts'
import type { SyntaxTree } from './syntax.ts'

/** A file with all that can be known of it alone, computed once. */
export interface ParsedFile {
  readonly source: Source
  readonly tree: SyntaxTree
  readonly scopes: Scopes
  readonly damage: Damage
  readonly hasSyntaxError: boolean
}

/** A file among the app's others. */
export interface PythonFile extends ParsedFile {
  readonly resolver: Resolver
}

/** How a rule looks at the app's other files. */
export type FileLookup = (path: string) => PythonFile | undefined

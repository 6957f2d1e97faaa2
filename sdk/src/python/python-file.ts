import type { Damage } from './damage.ts'
import type { Resolver } from './resolve.ts'
import type { Scopes } from './scopes.ts'
import type { Source } from './source.ts'
import type { SyntaxTree } from './syntax.ts'

/** A file with all that the rules need of it, computed once. */
export interface PythonFile {
  readonly source: Source
  readonly tree: SyntaxTree
  readonly scopes: Scopes
  readonly resolver: Resolver
  readonly damage: Damage
  readonly hasSyntaxError: boolean
}

/** How a rule looks at the app's other files. */
export type FileLookup = (path: string) => PythonFile | undefined

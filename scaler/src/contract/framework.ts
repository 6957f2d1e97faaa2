/** The functions of a test framework that the contracts use. The modules `vitest` and `node:test` have them. */
export interface TestFramework {
  /** Defines a group of tests. */
  readonly describe: (name: string, define: () => void) => unknown
  /** Defines a test, and with `skip` one that is not run. */
  readonly it: DefineTest & { readonly skip: DefineTest }
  /** Runs before the tests of the group: in vitest. */
  readonly beforeAll?: DefineHook | undefined
  readonly afterAll?: DefineHook | undefined
  /** The same in node:test. */
  readonly before?: DefineHook | undefined
  readonly after?: DefineHook | undefined
}

/** Defines one test. */
export type DefineTest = (name: string, run: () => Promise<void>) => unknown
/** Defines what runs once for a group of tests. */
export type DefineHook = (run: () => Promise<void>) => unknown

/** Throws if the framework has no such functions. */
export function hooksOf({ beforeAll, afterAll, before = beforeAll, after = afterAll }: TestFramework): {
  before: DefineHook
  after: DefineHook
} {
  if (before && after) return { before, after }
  throw new TypeError(
    'The test framework has no `before` and `after`, nor `beforeAll` and `afterAll`. Pass the module `vitest` or `node:test`.',
  )
}

/**
 * What the platform serves, as one text in uvicorn's notation. runner/src/fp_runner/entrypoint.py parses the same notation:
 *
 * - `main:app`, `app.main:app`: a variable of a module.
 * - `main:create_app()`: the return value of a function (`uvicorn --factory`).
 * - `src/main:app`: a folder to import modules from, and a module in it (`uvicorn --app-dir src`).
 * - `main.py`, `app.py:app`: the path of a file. Users may write this; the platform uses it if a folder has the module's name too.
 *
 * Without a variable, the runner looks for the app after it has imported the module.
 */
export interface Entrypoint {
  /**
   * The folder to import from, '' for the app's own folder. For the path of a file it is '', and `target` has the
   * folder.
   */
  readonly root: string
  /** A dotted module, or a file's path that ends in `.py`. */
  readonly target: string
  readonly variable?: string
  /** Whether the variable is a function that returns the app. */
  readonly factory: boolean
}

export const MAX_ENTRYPOINT = 300

const FORM =
  /^(?:(?<path>[^:]+\.py)|(?:(?<root>[^:]+)\/)?(?<module>[^\s:/.]+(?:\.[^\s:/.]+)*))(?::(?<variable>[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*)(?<factory>\(\))?)?$/u

/** Returns undefined if the text does not name a module or file, or names a path outside the app's folder. */
export function parseEntrypoint(text: string): Entrypoint | undefined {
  const groups = text.length <= MAX_ENTRYPOINT ? FORM.exec(text.trim())?.groups : undefined
  if (!groups) return undefined
  const { path, root = '', module = '', variable, factory } = groups
  const target = path?.replace(/^(?:\.\/)+/, '') ?? module
  const parts = [...(root === '' ? [] : root.split('/')), ...(path === undefined ? [] : target.split('/'))]
  if (parts.some((part) => part === '' || part === '.' || part === '..')) return undefined
  return { root, target, factory: factory !== undefined, ...(variable === undefined ? {} : { variable }) }
}

export function formatEntrypoint({ root, target, variable, factory }: Entrypoint): string {
  return `${root === '' ? '' : `${root}/`}${target}${variable === undefined ? '' : `:${variable}${factory ? '()' : ''}`}`
}

/** Returns the file of an entrypoint among an app's paths. */
export function entrypointFile({ root, target }: Entrypoint, paths: readonly string[]): string | undefined {
  const base = `${root === '' ? '' : `${root}/`}${target.replaceAll('.', '/')}`
  const wanted = target.endsWith('.py') ? [target] : [`${base}/__init__.py`, `${base}.py`]
  return wanted.find((path) => paths.includes(path))
}

/** The command that serves the same app without the platform. */
export function uvicornCommand(entrypoint: Entrypoint): string {
  const { root, target, variable = 'app', factory } = entrypoint
  const module = target.endsWith('.py')
    ? target.replace(/(?:\/__init__)?\.py$/, '').replaceAll('/', '.')
    : target
  return `uvicorn ${module}:${variable}${factory ? ' --factory' : ''}${root === '' ? '' : ` --app-dir ${root}`}`
}

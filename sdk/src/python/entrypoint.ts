/**
 * What the platform serves, as one text in uvicorn's own notation. runner/src/fp_runner/entrypoint.py reads the same:
 *
 * - `main:app`, `app.main:app`: the variable of a module.
 * - `main:create_app()`: what the function returns (`uvicorn --factory`).
 * - `src/main:app`: the folder from which modules are imported comes first (`uvicorn --app-dir src`).
 * - `main.py`, `app.py:app`: a file by its path. People write this; the platform runs it where a folder has the module's name too.
 *
 * Without a variable the runner looks for the app when it has imported the module.
 */
export interface Entrypoint {
  /** The folder of the first form, '' for the app's own; of a file its folder is part of `target`. */
  readonly root: string
  /** A dotted module, or the path of a file that ends in `.py`. */
  readonly target: string
  readonly variable?: string
  /** Whether the variable is a function that makes the app. */
  readonly factory: boolean
}

export const MAX_ENTRYPOINT = 300

const FORM =
  /^(?:(?<path>[^:]+\.py)|(?:(?<root>[^:]+)\/)?(?<module>[^\s:/.]+(?:\.[^\s:/.]+)*))(?::(?<variable>[\p{L}_][\p{L}\p{N}_]*(?:\.[\p{L}_][\p{L}\p{N}_]*)*)(?<factory>\(\))?)?$/u

/** undefined for a text that names no module or file, or one outside the app's folder. */
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

/** The file that an entrypoint names among an app's paths. */
export function entrypointFile({ root, target }: Entrypoint, paths: readonly string[]): string | undefined {
  const base = `${root === '' ? '' : `${root}/`}${target.replaceAll('.', '/')}`
  const wanted = target.endsWith('.py') ? [target] : [`${base}/__init__.py`, `${base}.py`]
  return wanted.find((path) => paths.includes(path))
}

/** The command that would serve the same without the platform. */
export function uvicornCommand(entrypoint: Entrypoint): string {
  const { root, target, variable = 'app', factory } = entrypoint
  const module = target.endsWith('.py')
    ? target.replace(/(?:\/__init__)?\.py$/, '').replaceAll('/', '.')
    : target
  return `uvicorn ${module}:${variable}${factory ? ' --factory' : ''}${root === '' ? '' : ` --app-dir ${root}`}`
}

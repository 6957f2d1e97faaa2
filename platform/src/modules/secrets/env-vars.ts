import type { EnvVar } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { BoxError, type SecretBox } from './box.ts'

export const MAX_ENV_VARS = 100
/** Names and values together, in bytes of UTF-8: with its files, an app has to fit into one Kubernetes object of 1 MiB. */
export const MAX_ENV_BYTES = 256 * 1024
const MAX_NAME_LENGTH = 128
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Set by the platform, or able to change what the runner itself loads. */
const RESERVED = /^(?:PORT|PLATFORM_MONGO_URI|PATH|HOME|(?:FP|PYTHON|LD)_.*|PYTHON.*)$/

/** As kept: every value is sealed, marked secret or not. */
export interface SealedEnvVar {
  readonly name: string
  readonly secret: boolean
  readonly sealed: string
}

/** A text sets and keeps the secret mark, `{value, secret}` sets both, null removes. */
export type EnvVarChanges = Readonly<
  Record<string, string | { value: string; secret?: boolean | undefined } | null>
>

export interface EnvVars {
  /** The variables after the changes, sorted by name; the same array when nothing changed. Throws FP_ENV_VAR_NAME, FP_TOO_MANY_ENV_VARS, FP_ENV_VARS_TOO_LARGE. */
  apply(appId: string, current: readonly SealedEnvVar[], changes: EnvVarChanges): readonly SealedEnvVar[]
  /** For the app's `os.environ`. */
  open(appId: string, vars: readonly SealedEnvVar[]): Record<string, string>
  /** For the owner: secrets without their value. */
  show(appId: string, vars: readonly SealedEnvVar[]): EnvVar[]
  /** Sealed anew for another app; secrets stay secret. */
  copy(fromAppId: string, toAppId: string, vars: readonly SealedEnvVar[]): SealedEnvVar[]
}

export function createEnvVars(box: SecretBox): EnvVars {
  const context = (appId: string, name: string): string => `env\0${appId}\0${name}`
  const seal = (appId: string, name: string, value: string, secret: boolean): SealedEnvVar => ({
    name,
    secret,
    sealed: box.seal(value, context(appId, name)),
  })
  const open = (appId: string, entry: SealedEnvVar): string => {
    try {
      return box.open(entry.sealed, context(appId, entry.name))
    } catch (cause) {
      if (!(cause instanceof BoxError)) throw cause
      throw new FpError(
        'FP_INTERNAL',
        `The environment variable ${entry.name} cannot be decrypted: the platform's secret key is not the one it was saved with. Set the variable again, or start the platform with its former key.`,
        { cause },
      )
    }
  }

  /** In bytes of UTF-8. A value that can no longer be opened counts as much as it takes sealed. */
  function sizeOf(appId: string, vars: readonly SealedEnvVar[]): number {
    const value = (entry: SealedEnvVar): string => {
      try {
        return open(appId, entry)
      } catch {
        return entry.sealed
      }
    }
    return vars.reduce(
      (sum, entry) => sum + Buffer.byteLength(entry.name) + Buffer.byteLength(value(entry)),
      0,
    )
  }

  return {
    apply(appId, current, changes) {
      const next = new Map(current.map((entry) => [entry.name, entry]))
      let changed = false
      for (const [name, change] of Object.entries(changes)) {
        const before = next.get(name)
        if (change === null) {
          changed = next.delete(name) || changed
          continue
        }
        checkName(name)
        const value = typeof change === 'string' ? change : change.value
        checkValue(name, value)
        const secret = (typeof change === 'string' ? undefined : change.secret) ?? before?.secret ?? false
        if (before && before.secret === secret && isSame(() => open(appId, before), value)) continue
        next.set(name, seal(appId, name, value, secret))
        changed = true
      }
      if (!changed) return current
      if (next.size > MAX_ENV_VARS) {
        throw new FpError(
          'FP_TOO_MANY_ENV_VARS',
          `The app would have ${next.size} environment variables; at most ${MAX_ENV_VARS} are allowed. Remove some.`,
          { details: { count: next.size, limit: MAX_ENV_VARS } },
        )
      }
      const bytes = sizeOf(appId, [...next.values()])
      if (bytes > MAX_ENV_BYTES) {
        throw new FpError(
          'FP_ENV_VARS_TOO_LARGE',
          `The app's environment variables would take ${bytes} bytes, names and values together; at most ${MAX_ENV_BYTES} (256 KiB) are allowed. Shorten or remove some, or keep large texts in a file or the database.`,
          { details: { bytes, limit: MAX_ENV_BYTES } },
        )
      }
      return [...next.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    open: (appId, vars) => Object.fromEntries(vars.map((entry) => [entry.name, open(appId, entry)])),
    show: (appId, vars) =>
      vars.map((entry) => ({
        name: entry.name,
        value: entry.secret ? null : open(appId, entry),
        secret: entry.secret,
      })),
    copy: (fromAppId, toAppId, vars) =>
      vars.map((entry) => seal(toAppId, entry.name, open(fromAppId, entry), entry.secret)),
  }
}

/** A value that can no longer be opened counts as another one, so that setting it again mends it. */
function isSame(open: () => string, value: string): boolean {
  try {
    return open() === value
  } catch {
    return false
  }
}

function checkName(name: string): void {
  const shown = JSON.stringify(name.slice(0, MAX_NAME_LENGTH))
  const refuse = (why: string): FpError => new FpError('FP_ENV_VAR_NAME', why, { details: { name } })
  if (!NAME.test(name)) {
    throw refuse(
      `${shown} cannot name an environment variable: use letters, digits and _, and do not start with a digit.`,
    )
  }
  if (name.length > MAX_NAME_LENGTH) {
    throw refuse(
      `The environment variable's name ${shown}… is ${name.length} characters long; at most ${MAX_NAME_LENGTH} are allowed.`,
    )
  }
  if (RESERVED.test(name)) {
    throw refuse(
      `${name} is set by the platform. Choose another name: PORT, PATH, HOME, PLATFORM_MONGO_URI and what begins with FP_, PYTHON or LD_ are reserved.`,
    )
  }
}

function checkValue(name: string, value: string): void {
  if (value.includes('\0') || !value.isWellFormed()) {
    throw new FpError(
      'FP_INVALID_FIELDS',
      `The value of the environment variable ${name} holds a NUL character or half of a surrogate pair, which no process can be given.`,
      { details: [{ path: `/env_vars/${name}`, message: 'must be text without NUL' }] },
    )
  }
}

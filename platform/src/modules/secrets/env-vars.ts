import { ENV_LIMITS, ENV_NAME, isReservedEnvName, RESERVED_ENV_NAMES, type EnvVar } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import { mapInTurns } from '../../queues/in-turns.ts'
import { BoxError, type SecretBox } from './box.ts'

/** A variable as it is stored. Every value is sealed, whether it is marked as secret or not. */
export interface SealedEnvVar {
  readonly name: string
  readonly secret: boolean
  readonly sealed: string
}

/** A text sets the value and keeps the secret mark, `{value, secret}` sets both, null removes the variable. */
export type EnvVarChanges = Readonly<
  Record<string, string | { value: string; secret?: boolean | undefined } | null>
>

/** Sealing and opening yield to the event loop from time to time: a hundred variables at once would block it. */
export interface EnvVars {
  /** The variables after the changes, sorted by name; the same array when nothing changed. Throws FP_ENV_VAR_NAME, FP_TOO_MANY_ENV_VARS, FP_ENV_VARS_TOO_LARGE. */
  apply(
    appId: string,
    current: readonly SealedEnvVar[],
    changes: EnvVarChanges,
  ): Promise<readonly SealedEnvVar[]>
  /** The values for the app's `os.environ`. */
  open(appId: string, vars: readonly SealedEnvVar[]): Promise<Record<string, string>>
  /** The variables for the owner to see: secrets without their value. */
  show(appId: string, vars: readonly SealedEnvVar[]): Promise<EnvVar[]>
  /** Seals the variables again for another app. Secrets stay secret. */
  copy(fromAppId: string, toAppId: string, vars: readonly SealedEnvVar[]): Promise<SealedEnvVar[]>
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

  /** Checks count, names, values and size after the changes, before anything is sealed, as sealing takes time. */
  function check(current: readonly SealedEnvVar[], changes: EnvVarChanges): void {
    const sizes = new Map(current.map(({ name, sealed }) => [name, box.sizeOf(sealed)]))
    let sets = false
    for (const [name, change] of Object.entries(changes)) {
      if (change === null) sizes.delete(name)
      else {
        sets = true
        sizes.set(name, Buffer.byteLength(valueOf(change)))
      }
    }
    // Removing variables is always allowed.
    if (!sets) return
    checkCount(sizes.size)
    for (const [name, change] of Object.entries(changes)) {
      if (change === null) continue
      checkName(name)
      checkValue(name, valueOf(change))
    }
    let bytes = 0
    for (const [name, size] of sizes) bytes += Buffer.byteLength(name) + size
    checkSize(bytes)
  }

  return {
    async apply(appId, current, changes) {
      check(current, changes)
      const next = new Map(current.map((entry) => [entry.name, entry]))
      let changed = false
      await mapInTurns(Object.entries(changes), ([name, change]) => {
        const before = next.get(name)
        if (change === null) {
          changed = next.delete(name) || changed
          return
        }
        const value = valueOf(change)
        const secret = (typeof change === 'string' ? undefined : change.secret) ?? before?.secret ?? false
        if (before && before.secret === secret && isSame(() => open(appId, before), value)) return
        next.set(name, seal(appId, name, value, secret))
        changed = true
      })
      if (!changed) return current
      return [...next.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    open: async (appId, vars) =>
      Object.fromEntries(await mapInTurns(vars, (entry) => [entry.name, open(appId, entry)])),
    show: (appId, vars) =>
      mapInTurns(vars, (entry) => ({
        name: entry.name,
        value: entry.secret ? null : open(appId, entry),
        secret: entry.secret,
      })),
    copy: (fromAppId, toAppId, vars) =>
      mapInTurns(vars, (entry) => seal(toAppId, entry.name, open(fromAppId, entry), entry.secret)),
  }
}

type EnvVarChange = NonNullable<EnvVarChanges[string]>

function valueOf(change: EnvVarChange): string {
  return typeof change === 'string' ? change : change.value
}

function checkCount(count: number): void {
  if (count <= ENV_LIMITS.maxVars) return
  throw new FpError(
    'FP_TOO_MANY_ENV_VARS',
    `The app would have ${count} environment variables; at most ${ENV_LIMITS.maxVars} are allowed. Remove some.`,
    { details: { count, limit: ENV_LIMITS.maxVars } },
  )
}

function checkSize(bytes: number): void {
  if (bytes <= ENV_LIMITS.maxBytes) return
  throw new FpError(
    'FP_ENV_VARS_TOO_LARGE',
    `The app's environment variables would take ${bytes} bytes, names and values together; at most ${ENV_LIMITS.maxBytes} (${ENV_LIMITS.maxBytes / 1024} KiB) are allowed. Shorten or remove some, or keep large texts in a file or the database.`,
    { details: { bytes, limit: ENV_LIMITS.maxBytes } },
  )
}

/** A value that can no longer be opened counts as a different one, so that setting it again repairs it. */
function isSame(open: () => string, value: string): boolean {
  try {
    return open() === value
  } catch {
    return false
  }
}

function checkName(name: string): void {
  const shown = JSON.stringify(name.slice(0, ENV_LIMITS.maxNameLength))
  const refuse = (why: string): FpError => new FpError('FP_ENV_VAR_NAME', why, { details: { name } })
  if (!ENV_NAME.test(name)) {
    throw refuse(
      `${shown} cannot name an environment variable: use letters, digits and _, and do not start with a digit.`,
    )
  }
  if (name.length > ENV_LIMITS.maxNameLength) {
    throw refuse(
      `The environment variable's name ${shown}… is ${name.length} characters long; at most ${ENV_LIMITS.maxNameLength} are allowed.`,
    )
  }
  if (isReservedEnvName(name)) {
    throw refuse(
      `The name ${name} is reserved. Choose another one: ${RESERVED_ENV_NAMES} are reserved for the platform.`,
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

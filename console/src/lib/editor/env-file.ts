import { ENV_NAME, isReservedEnvName } from '@fp/sdk/wire'
import { parse } from 'dotenv'

export interface EnvFile {
  readonly pairs: readonly (readonly [name: string, value: string])[]
  /** Names that an app cannot set. */
  readonly reserved: readonly string[]
  /** Lines that define no variable, counted from 1. */
  readonly unknown: readonly number[]
}

const SETS = /^\s*(?:export\s+)?([\w.-]+)(?:\s*=|:\s)(.*)$/

/** Reads a pasted .env file. `dotenv` reads each variable. The result names what `dotenv` would skip silently. */
export function parseEnvFile(text: string): EnvFile {
  const pairs = new Map<string, string>()
  const reserved = new Set<string>()
  const unknown: number[] = []
  const lines = text.split(/\r?\n/)
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    const [, name = '', value = ''] = SETS.exec(line) ?? []
    const end = endOfValue(lines, at, value)
    if (!ENV_NAME.test(name) || end === undefined) {
      if (!/^\s*(?:#|$)/.test(line)) unknown.push(at + 1)
      continue
    }
    if (isReservedEnvName(name)) reserved.add(name)
    else pairs.set(name, read(name, [value, ...lines.slice(at + 1, end + 1)].join('\n')))
    at = end
  }
  return { pairs: [...pairs], reserved: [...reserved], unknown }
}

/** The line on which a value ends. A value in quotes may end on a later line. Undefined when its quote is never closed. */
function endOfValue(lines: readonly string[], from: number, value: string): number | undefined {
  const quote = /^["'`]/.exec(value.trimStart())?.[0]
  if (!quote) return from
  const closes = new RegExp(`(?:^|[^\\\\])${quote}`)
  if (closes.test(value.trimStart().slice(1))) return from
  for (let at = from + 1; at < lines.length; at++) if (closes.test(lines[at]!)) return at
  return undefined
}

function read(name: string, value: string): string {
  // dotenv ends a value without quotes at any #. Python's reader and shells end it only at a # after a space.
  const bare = value.replace(/\s+#.*$/, '').trim()
  if (bare.includes('#') && !/^["'`]/.test(bare)) return bare
  return parse(`${name}=${value}`)[name] ?? ''
}

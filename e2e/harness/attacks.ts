import { request } from 'node:http'
import { FILE_LIMITS } from '@fp/sdk/wire'
import type { Front, TestUser } from './user.ts'

/** The parts of a JSON schema that the attacks look at. */
interface Schema {
  readonly type?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly minimum?: number
  readonly const?: unknown
  readonly maxLength?: number
}

interface Operation {
  readonly operationId?: string
  readonly requestBody?: { readonly content: { readonly 'application/json'?: { readonly schema: Schema } } }
  /** Bytes; see plugins/openapi.ts. */
  readonly 'x-body-limit'?: number
}

export interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

export interface Attack {
  /** `POST /api/apps: deep` */
  readonly name: string
  readonly route: string
  readonly method: string
  /** The path with its parameters, such as `{app_id}`. */
  readonly path: string
  readonly body: Buffer | undefined
}

/** For routes without a schema of their body. */
const ASSUMED_LIMIT = 2 * 1024 * 1024

/** For every route of the API: the worst bodies that it reads, and the largest that it accepts. New routes are attacked without a change here. */
export function attacksOn(api: OpenApi): Attack[] {
  return Object.entries(api.paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([verb, operation]) => {
      const method = verb.toUpperCase()
      const route = `${method} ${path}`
      const attack = (kind: string, body?: string): Attack => ({
        name: `${route}: ${kind}`,
        route,
        method,
        path,
        body: body === undefined ? undefined : Buffer.from(body),
      })
      if (method === 'GET') return [attack('plain')]
      const limit = operation['x-body-limit'] ?? ASSUMED_LIMIT
      const schema = operation.requestBody?.content['application/json']?.schema
      const bodies = Object.entries(worstBodies(schema, limit))
      return [attack('no body'), ...bodies.map(([kind, body]) => attack(kind, body))]
    }),
  )
}

function worstBodies(schema: Schema | undefined, limit: number): Record<string, string> {
  const fields = Object.entries(schema?.properties ?? {})
  const each = (value: (size: number) => string): string =>
    `{${fields.map(([name]) => `${JSON.stringify(name)}:${value(Math.floor((limit - 200) / fields.length) - 40)}`).join(',')}}`
  const bodies: Record<string, string> = {
    deep: nested('[', ']', limit),
    'deep objects': `${'{"a":'.repeat((limit - 10) / 6)}1${'}'.repeat((limit - 10) / 6)}`,
    'many unknown fields': record(limit, (n) => `"k${n}":0`),
    'many numbers': `[${'1,'.repeat((limit - 4) / 2)}1]`,
    'one long text': JSON.stringify('a'.repeat(limit - 2)),
    escapes: `"${'\\u00e9'.repeat((limit - 2) / 6)}"`,
    'broken at its end': `{"a":"${'a'.repeat(limit - 10)}"`,
  }
  if (fields.length === 0) return bodies
  return {
    ...bodies,
    'long fields': each((size) => JSON.stringify('a'.repeat(size))),
    'long fields of e with accents': each((size) => `"${'e\u0301'.repeat(size / 3)}"`),
    'every field a record of many': each((size) => record(size, (n) => `"k${n}":"v"`)),
    'every field a record of wrong values': each((size) => record(size, (n) => `"k${n}":[]`)),
    'every field a record of objects': each((size) => record(size, (n) => `"k${n}":{"value":""}`)),
    'every field deep': each((size) => nested('{"a":', '}', size, '1')),
    'the largest that is valid': largest(schema!),
  }
}

function nested(open: string, close: string, size: number, core = ''): string {
  const times = Math.max(1, Math.floor((size - core.length) / (open.length + close.length)))
  return open.repeat(times) + core + close.repeat(times)
}

function record(size: number, field: (n: number) => string): string {
  const parts: string[] = []
  for (let n = 0, length = 2; ; n++) {
    const part = field(n)
    length += part.length + 1
    if (length > size) break
    parts.push(part)
  }
  return `{${parts.join(',')}}`
}

/** Two bytes a character, so that nothing is copied as plain ASCII. The app starts nevertheless. */
function text(bytes: number): string {
  return `"""${'é'.repeat(Math.floor((bytes - 6) / 2))}"""`
}

function largest(schema: Schema): string {
  const value = (name: string, field: Schema): unknown => {
    if (name === 'files') return largestFiles()
    if (name === 'env_vars') return largestVariables()
    if (field.const !== undefined) return field.const
    if (field.anyOf) return value(name, field.anyOf[0]!)
    if (field.type === 'integer') return field.minimum ?? 1
    if (field.type === 'boolean') return true
    if (field.type === 'object') return {}
    return name === 'path' ? '/' : `a${'b'.repeat(Math.min(field.maxLength ?? 60_000, 60_000) - 1)}`
  }
  const fields = Object.entries(schema.properties ?? {}).filter(
    // `files`, `code` and `template_id` exclude each other, and a revision would have to be the present one.
    ([name]) => !['code', 'template_id', 'revision', 'dry_load'].includes(name),
  )
  return JSON.stringify(Object.fromEntries(fields.map(([name, field]) => [name, value(name, field)])))
}

/** The most that an app may have. */
export function largestFiles(): Record<string, string> {
  const each = Math.floor(FILE_LIMITS.maxTotalBytes / FILE_LIMITS.maxFiles) - 20
  const all: Record<string, string> = { 'app.py': 'from fastapi import FastAPI\n\napp = FastAPI()\n' }
  for (let n = 1; n < FILE_LIMITS.maxFiles; n++) all[`module_${n}.py`] = text(each)
  return all
}

export function largestVariables(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: 100 }, (_, n) => [`NAME_${n}`, 'é'.repeat(1_250)]))
}

/** Resolves to the status of the answer. */
export function sendAttack(
  platform: Front,
  user: TestUser,
  ids: Record<string, string>,
  attack: Attack,
): Promise<number> {
  const path = attack.path.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] ?? 'none')
  const headers = {
    authorization: `Bearer ${user.token}`,
    ...(attack.body && { 'content-type': 'application/json', 'content-length': String(attack.body.length) }),
  }
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port: platform.port, method: attack.method, path, headers },
      (response) => {
        response.resume().once('end', () => resolve(response.statusCode!))
      },
    )
    // The request was refused before all was sent, so the answer may be lost.
    sent.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EPIPE' || error.code === 'ECONNRESET' ? resolve(413) : reject(error),
    )
    sent.end(attack.body)
  })
}

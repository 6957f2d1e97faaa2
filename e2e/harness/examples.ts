import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { ROOT } from './platform.ts'
import type { AppAnswer, TestUser } from './user.ts'

export interface Call {
  method: string
  path: string
  headers?: Record<string, string>
  json?: unknown
  body?: string
  expect: { status: number; json_contains?: unknown; text_contains?: string }
  save?: Record<string, string>
}
export interface Example {
  example: string
  calls: Call[]
  after_wake?: Call[]
}

/** The calls of each example, and the answers that they must get. */
export const examples = JSON.parse(readFileSync(join(ROOT, 'examples/calls.json'), 'utf8')) as Example[]

/** Makes the call and expects its answer. Calls share the values in `saved`. */
export async function run(
  user: TestUser,
  appId: string,
  call: Call,
  saved: Map<string, string>,
): Promise<void> {
  const body = call.json === undefined ? call.body : JSON.stringify(call.json)
  const answer = await user.call(appId, fill(call.path, saved), {
    method: call.method,
    headers: { ...(call.json === undefined ? {} : { 'content-type': 'application/json' }), ...call.headers },
    ...(body === undefined ? {} : { body: fill(body, saved) }),
  })
  const { status, json_contains: json, text_contains: text } = call.expect
  const where = `${call.method} ${call.path}: ${answer.text.slice(0, 500)}`
  expect(answer.status, where).toBe(status)
  if (text !== undefined) expect(answer.text, where).toContain(fill(text, saved))
  if (json !== undefined)
    expect(answer.json(), where).toEqual(containing(JSON.parse(fill(JSON.stringify(json), saved))))
  for (const [name, path] of Object.entries(call.save ?? {})) saved.set(name, pick(answer, path))
}

function fill(text: string, saved: Map<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => saved.get(name) ?? whole)
}

function pick(answer: AppAnswer, path: string): string {
  return String((answer.json() as Record<string, unknown>)[path.replace('$.', '')])
}

/** Objects may have more fields than the expected ones. Each expected element must match some element of the list. */
function containing(value: unknown): unknown {
  if (Array.isArray(value)) return expect.arrayContaining(value.map(containing)) as unknown
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).map(([key, inner]) => [key, containing(inner)])
  return expect.objectContaining(Object.fromEntries(entries) as object) as unknown
}

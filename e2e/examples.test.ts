import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ROOT, startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser, type AppAnswer } from './harness/user.ts'

interface Call {
  method: string
  path: string
  headers?: Record<string, string>
  json?: unknown
  body?: string
  expect: { status: number; json_contains?: unknown; text_contains?: string }
  save?: Record<string, string>
}
interface Example {
  example: string
  calls: Call[]
  after_wake?: Call[]
}

const examples = JSON.parse(readFileSync(join(ROOT, 'examples/calls.json'), 'utf8')) as Example[]

let platform: PlatformUnderTest
let user: TestUser
beforeAll(async () => {
  platform = await startPlatform()
})
afterAll(async () => {
  await platform[Symbol.asyncDispose]()
})

describe.each(examples)('example $example', ({ example, calls, after_wake: afterWake = [] }) => {
  test('deploys, answers, sleeps, wakes and answers again', async () => {
    // An account each: all apps of a user share one database.
    user = await TestUser.signUp(platform, example.replaceAll('-', ''))
    const { app_id: appId } = await user.liveApp({ template_id: example })
    const saved = new Map<string, string>()
    for (const call of calls) await run(appId, call, saved)

    await user.sleep(appId)
    expect((await user.must<{ status: string }>('GET', `/apps/${appId}`)).status).toBe('sleeping')

    const woken = await user.call(appId, calls[0]!.path)
    expect(woken.headers['server-timing']).toMatch(/^wake;dur=/)
    for (const call of afterWake) await run(appId, call, saved)
    expect((await user.must<{ status: string }>('GET', `/apps/${appId}`)).status).toBe('running')
  })
})

async function run(appId: string, call: Call, saved: Map<string, string>): Promise<void> {
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

/** Objects may have more than is named; each named element of a list must be in some element. */
function containing(value: unknown): unknown {
  if (Array.isArray(value)) return expect.arrayContaining(value.map(containing)) as unknown
  if (value === null || typeof value !== 'object') return value
  const entries = Object.entries(value).map(([key, inner]) => [key, containing(inner)])
  return expect.objectContaining(Object.fromEntries(entries) as object) as unknown
}

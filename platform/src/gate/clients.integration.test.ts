import { afterAll, beforeAll, expect, it } from 'vitest'
import { startTestPlatform, type Answer, type TestPlatform } from '../../test/platform.ts'
import { newId } from '../ids.ts'

const TOKEN = 'a-token-of-24-characters'

let test: TestPlatform
beforeAll(async () => {
  test = await startTestPlatform({
    FP_TRUST_PROXY: '127.0.0.1,::1',
    FP_API_RATE: '1',
    FP_SIGNUPS_PER_HOUR: '1',
    FP_METRICS_TOKEN: TOKEN,
  })
})
afterAll(() => test[Symbol.asyncDispose]())

/** Sends a request like a client with this address behind the proxy. */
const from = (address: string, method: string, path: string, body?: object): Promise<Answer> =>
  test.request(method, path, { headers: { 'x-forwarded-for': address }, ...(body && { body }) })

function signUp(address: string): Promise<Answer> {
  const username = `u${newId()}`
  const account = { username, email: `${username}@example.com`, password: 'correct horse' }
  return from(address, 'POST', '/api/auth/signup', account)
}

it('the API counts the requests of each client behind the gate, not those of the gate', async () => {
  // One client may send six requests at once.
  const clients = Array.from({ length: 30 }, (_, n) => from(`192.0.2.${n}`, 'GET', '/healthz'))
  expect((await Promise.all(clients)).map(({ status }) => status)).toEqual(clients.map(() => 200))
})

it('the API knows the address of a client', async () => {
  expect((await signUp('198.51.100.1')).status).toBe(201)
  expect((await signUp('198.51.100.1')).body.message).toMatch(/^Too many new accounts/)
  expect((await signUp('198.51.100.2')).status).toBe(201)
})

it('the metrics of both processes are in one text, with each series once and each family in one place', async () => {
  const { text } = await test.request('GET', '/metrics', { token: TOKEN })
  const lines = text.split('\n').filter((line) => line !== '')
  const names = (kind: string) =>
    lines.filter((line) => line.startsWith(`# ${kind} `)).map((line) => line.split(' ')[2])
  const series = lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.slice(0, line.lastIndexOf(' ')))
  for (const all of [names('HELP'), names('TYPE'), series]) expect(all).toEqual([...new Set(all)])
  for (const process of ['gate', 'api'])
    expect(series).toContain(`process_cpu_seconds_total{process="${process}"}`)
  expect(names('TYPE')).toEqual(expect.arrayContaining(['fp_api_requests_total', 'fp_cold_starts_total']))
  // The series of a family are below its description.
  let family = ''
  for (const line of lines) {
    if (line.startsWith('#')) family = line.split(' ')[2]!
    else expect(line.startsWith(family)).toBe(true)
  }
})

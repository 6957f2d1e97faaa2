import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPlatform, type PlatformUnderTest } from '../harness/platform.ts'
import { TestUser } from '../harness/user.ts'
import { ask, type Place, type Told } from './ask.ts'
import { cases, type Case } from './case.ts'
import { serveAlone } from './uvicorn.ts'

/** How many apps one account gets, so that no account reaches its quota. */
const APPS_PER_USER = 8

let platform: PlatformUnderTest
let users: readonly TestUser[]
beforeAll(async () => {
  platform = await startPlatform()
  const names = Array.from({ length: Math.ceil(cases.length / APPS_PER_USER) }, (_, n) => `layouts${n}`)
  users = await Promise.all(names.map((name) => TestUser.signUp(platform, name)))
})
afterAll(async () => {
  await platform[Symbol.asyncDispose]()
})

async function answers(place: Place, { requests }: Case): Promise<Record<string, Told>> {
  const told: Record<string, Told> = {}
  // One after the other, as an answer may depend on earlier requests.
  for (const [n, question] of requests.entries())
    told[`${n + 1}. ${question.method} ${question.path}`] = await ask(place, question)
  return told
}

test('there are at least 60 apps', () => {
  expect(cases.length).toBeGreaterThanOrEqual(60)
})

test.concurrent.each(cases.map((each, n) => ({ ...each, n })))(
  '$name is found, starts and answers as under uvicorn $uvicorn',
  async (each) => {
    const user = users[Math.floor(each.n / APPS_PER_USER)]!
    const body = { files: each.files, ...(each.entrypoint !== undefined && { entrypoint: each.entrypoint }) }
    const { app_id: appId } = await user.liveApp(body, each.name)
    const host = `app-${appId}.${platform.appDomain}`
    await using alone = await serveAlone(each)
    const expected = await answers({ port: alone.port, host }, each)
    expect(await answers({ port: platform.port, host }, each)).toEqual(expected)
  },
)

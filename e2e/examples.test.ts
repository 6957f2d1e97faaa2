import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { examples, run } from './harness/examples.ts'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

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
    // One account for each, as all apps of a user share one database.
    user = await TestUser.signUp(platform, example.replaceAll('-', ''))
    const { app_id: appId } = await user.liveApp({ template_id: example })
    const saved = new Map<string, string>()
    for (const call of calls) await run(user, appId, call, saved)

    await user.sleep(appId)
    expect((await user.client.apps.get(appId)).status).toBe('sleeping')

    const woken = await user.call(appId, calls[0]!.path)
    expect(woken.headers['server-timing']).toMatch(/^wake;dur=/)
    for (const call of afterWake) await run(user, appId, call, saved)
    expect((await user.client.apps.get(appId)).status).toBe('running')
  })
})

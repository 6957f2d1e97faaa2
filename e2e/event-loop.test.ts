import { afterAll, beforeAll, expect, test } from 'vitest'
import { attacksOn, sendAttack, type OpenApi } from './harness/attacks.ts'
import { loopProbe, type LoopProbe } from './harness/event-loop.ts'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

const ROUNDS = 3
const WORST = /: (deep objects|many unknown fields|every field a record of many|the largest that is valid)$/
/** How long an unlimited parser would need for the first of these bodies. */
const BODY = `{${Array.from({ length: 150_000 }, (_, n) => `"k${n}":0`).join()}}`

let probe: LoopProbe
let platform: PlatformUnderTest
beforeAll(async () => {
  probe = await loopProbe()
  platform = await startPlatform({ env: { ...probe.env, FP_API_RATE: '0' } })
})
afterAll(() => platform[Symbol.asyncDispose]())

test('no body on any route blocks the event loop for as long as parsing the largest one would', async () => {
  const user = await TestUser.signUp(platform, 'attacker')
  const { app_id } = await user.createApp({ template_id: 'hello-api' })
  const api = (await (await fetch(`${platform.url}/api/openapi.json`)).json()) as OpenApi
  const attacks = attacksOn(api).filter(
    ({ name, route }) => WORST.test(name) && !/DELETE|logout|signup/.test(route),
  )
  expect(attacks.length).toBeGreaterThan(20)
  const parsing = Math.min(...Array.from({ length: ROUNDS }, () => timed(() => JSON.parse(BODY))))
  const slow: string[] = []
  for (const attack of attacks) {
    let block = Infinity
    for (let round = 0; round < ROUNDS && block >= parsing; round++) {
      await probe.maxBlock()
      await sendAttack(platform, user, { app_id }, attack)
      block = await probe.maxBlock()
    }
    if (block >= parsing) slow.push(`${attack.name}: ${block} ms, where parsing takes ${parsing} ms`)
  }
  expect(slow).toEqual([])
})

function timed(work: () => void): number {
  const began = performance.now()
  work()
  return performance.now() - began
}

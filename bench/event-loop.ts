import {
  attacksOn,
  largestFiles,
  largestVariables,
  sendAttack,
  type OpenApi,
} from '../e2e/harness/attacks.ts'
import { loopProbe, type LoopProbe } from '../e2e/harness/event-loop.ts'
import { startPlatform, type PlatformUnderTest } from '../e2e/harness/platform.ts'
import { TestUser } from '../e2e/harness/user.ts'
import { HOSTILE_APP, hostileBytes, sendBytes } from './hostile-bytes.ts'
import { ms, row, section } from './lib.ts'

const ROUNDS = 4
const WARM = 200
/** The number of failed deployments. */
const FAILURES = 10
const APPS = 40

/** Its log and its answer are full of characters that JSON escapes with six characters each. */
const TALKATIVE = `from fastapi import FastAPI, Response
app = FastAPI()
for n in range(2100): print(chr(1) * 250, flush=True)
@app.get("/{path:path}")
@app.post("/{path:path}")
def big(path: str = ""): return Response(chr(1) * 2_000_000, media_type="text/plain")
`
const FAILING = `from fastapi import FastAPI
app = FastAPI()
raise RuntimeError(chr(1) * 100_000)
`

/** Shorter times are not printed. */
const SHOWN = 5

/**
 * Sends every route the worst bodies that it reads, and prints how long the platform's event loop was blocked: the least of
 * several rounds, since other work of the machine only adds to it.
 */
export async function benchEventLoop(): Promise<void> {
  section('How long one request of a tenant holds up the event loop (goal: 10 ms or less)')
  const probe = await loopProbe()
  await using platform = await startPlatform({ env: { ...probe.env, FP_API_RATE: '0' } })
  const user = await TestUser.signUp(platform, 'attacker')
  await benchBytes(platform, user, probe)
  const ids = await victim(user)
  const api = (await (await fetch(`${platform.url}/api/openapi.json`)).json()) as OpenApi
  // Reads come after writes: then they return the most.
  const attacks = attacksOn(api)
    .filter(({ route }) => !/DELETE|logout|signup/.test(route))
    .sort((a, b) => Number(a.method === 'GET') - Number(b.method === 'GET'))
  const worst = new Map<string, { block: number; attack: string; status: number }>()
  for (const attack of attacks) {
    let block = Infinity
    let status = 0
    for (let round = 0; round < ROUNDS; round++) {
      await probe.maxBlock()
      status = await sendAttack(platform, user, ids, attack)
      block = Math.min(block, await probe.maxBlock())
    }
    if (process.env['FP_E2E_ALL_ATTACKS'] || block > SHOWN) row(attack.name, String(status), ms(block))
    if (block > (worst.get(attack.route)?.block ?? -1))
      worst.set(attack.route, { block, attack: attack.name, status })
  }
  row('', 'longest')
  for (const [route, { block }] of [...worst].sort(([, a], [, b]) => b.block - a.block)) row(route, ms(block))
}

/** The same for raw bytes that strangers and apps send. */
async function benchBytes(platform: PlatformUnderTest, user: TestUser, probe: LoopProbe): Promise<void> {
  const { app_id: appId } = await user.liveApp({ code: HOSTILE_APP }, 'hostile')
  // The first run includes compilation, so it is not counted.
  for (let n = 0; n < WARM; n++) await user.call(appId, '/')
  const host = new URL(platform.url).host
  let longest = 0
  for (const attack of hostileBytes(host, `app-${appId}.${platform.appDomain}`, appId, user.token)) {
    let block = Infinity
    let status = ''
    for (let round = 0; round < ROUNDS; round++) {
      await probe.maxBlock()
      status = await sendBytes(platform.port, attack)
      block = Math.min(block, await probe.maxBlock())
    }
    longest = Math.max(longest, block)
    row(attack.name, status, ms(block))
  }
  row('longest of these', '', ms(longest))
}

async function victim(user: TestUser): Promise<Record<string, string>> {
  const app = await user.liveApp({ code: TALKATIVE }, 'attacked')
  await user.call(app.app_id, '/')
  // Each attempt leaves a traceback of the largest allowed length.
  for (let n = 0; n < FAILURES; n++) await user.deploy(app.app_id, { 'app.py': FAILING })
  for (let n = 0; n < APPS; n++) await user.createApp({ files: largestFiles(), env_vars: largestVariables() })
  const { items } = await user.client.deployments.list(app.app_id)
  return {
    app_id: app.app_id,
    deployment_id: items[0]!.deployment_id,
    version: '1',
    template_id: 'hello-api',
  }
}

import { setTimeout as wait } from 'node:timers/promises'
import type { PlatformUnderTest } from '../e2e/harness/platform.ts'
import { TestUser } from '../e2e/harness/user.ts'
import { largestDraft, ms, percentile, ratio, row, section, timedGet, TRIVIAL_APP } from './lib.ts'

/** The number of apps that one tenant wakes at once. */
const FLOOD = 150
const ROUNDS = 3
/** The number of wakes of the neighbour during one flood, one after the other. */
const WAKES_IN_A_FLOOD = 10
const QUIET_WAKES = 30
/** The least time in ms that an app sleeps before it is woken. */
const SLEEP = 250
const DEPLOYS = 10
/** The number of validations that the flood keeps in the queue. */
const VALIDATIONS = 15

/** Whether a tenant with many requests at once delays a neighbour. */
export async function benchFairness(platform: PlatformUnderTest, user: TestUser): Promise<void> {
  const neighbour = await TestUser.signUp(platform, 'bench-neighbour')
  await benchWakes(platform, user, neighbour)
  await benchValidations(user, neighbour)
}

async function benchWakes(platform: PlatformUnderTest, user: TestUser, neighbour: TestUser): Promise<void> {
  section(`A neighbour's wake while a tenant wakes ${FLOOD} apps at once`)
  const targetOf = (appId: string) => ({
    port: platform.port,
    host: `app-${appId}.localhost:${platform.port}`,
  })
  const flood: string[] = []
  for (let n = 0; n < FLOOD; n++)
    flood.push((await user.liveApp({ code: TRIVIAL_APP }, `bench flood ${n}`)).app_id)
  const { app_id: own } = await neighbour.liveApp({ code: TRIVIAL_APP }, 'bench neighbour')
  const wake = async (): Promise<number> => {
    await neighbour.sleep(own)
    await wait(SLEEP)
    return timedGet(targetOf(own))
  }

  /** Fewer at once than the API accepts from one account. */
  const sleepAll = async (): Promise<void> => {
    for (let n = 0; n < FLOOD; n += 50)
      await Promise.all(flood.slice(n, n + 50).map((appId) => user.sleep(appId)))
  }

  await sleepAll()
  const quiet: number[] = []
  for (let n = 0; n < QUIET_WAKES; n++) quiet.push(await wake())
  const busy: number[] = []
  let served = 0
  for (let round = 0; round < ROUNDS; round++) {
    await sleepAll()
    await neighbour.sleep(own)
    await wait(SLEEP)
    let waking = true
    const woken = Promise.all(
      flood.map((appId) =>
        timedGet(targetOf(appId)).then(
          () => void served++,
          () => undefined,
        ),
      ),
    ).finally(() => (waking = false))
    busy.push(await timedGet(targetOf(own)))
    for (let n = 1; waking && n < WAKES_IN_A_FLOOD; n++) {
      const took = await wake()
      if (waking) busy.push(took)
    }
    await woken
  }
  report(quiet, busy, 3)
  row('  of the flood were served', `${served} of ${FLOOD * ROUNDS}`)
}

async function benchValidations(user: TestUser, neighbour: TestUser): Promise<void> {
  section('A neighbour’s deploy while a tenant validates the largest drafts')
  const { app_id: own } = await neighbour.liveApp({ code: TRIVIAL_APP }, 'bench neighbour deploys')
  const deploy = async (): Promise<number> => {
    const began = performance.now()
    const { stage } = await neighbour.deploy(own)
    if (stage !== 'ready') throw new Error(`the deployment ended ${stage}`)
    return performance.now() - began
  }
  await deploy()
  const quiet: number[] = []
  for (let n = 0; n < DEPLOYS; n++) quiet.push(await deploy())
  let flooding = true
  const files = largestDraft()
  const flood = Array.from({ length: VALIDATIONS }, async () => {
    while (flooding) await user.api('POST', '/validate', { files })
  })
  const busy: number[] = []
  for (let n = 0; n < DEPLOYS; n++) busy.push(await deploy())
  flooding = false
  await Promise.all(flood)
  report(quiet, busy)
}

function report(quiet: readonly number[], busy: readonly number[], goal?: number): void {
  row('', 'quiet', 'flooded', 'flooded/quiet')
  for (const p of [50, 99]) {
    const [before, during] = [percentile(quiet, p), percentile(busy, p)]
    row(goal ? `p${p} (goal: ${goal} or less)` : `p${p}`, ms(before), ms(during), ratio(during / before))
  }
  row('  measured', String(quiet.length), String(busy.length))
}

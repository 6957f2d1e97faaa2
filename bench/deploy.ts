import type { PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { ms, percentile, row, section } from './lib.ts'

const DEPLOYS = 20

/** The time from the POST until the first answer of the new version. */
export async function benchDeploy(_platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section('Deploy and rollback: POST to the first 200 of the other version')
  const app = await user.liveApp({ code: version(0) }, 'bench deploy')
  const untilAnswer = async (text: string): Promise<void> => {
    for (;;) {
      const answer = await user.call(app.app_id, '/')
      if (answer.text === text) return
      if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`)
    }
  }
  const deploys: number[] = []
  for (let n = 1; n <= DEPLOYS; n++) {
    const began = performance.now()
    await user.client.apps.deploy(app.app_id, { files: { 'app.py': version(n) } })
    await untilAnswer(String(n))
    deploys.push(performance.now() - began)
  }
  const rollbacks: number[] = []
  for (let n = 0; n < DEPLOYS; n++) {
    const back = DEPLOYS - (n % 2 === 0 ? 1 : 0)
    const began = performance.now()
    // Versions count from 1, and the first one answers 0.
    await user.client.apps.rollback(app.app_id, back + 1)
    await untilAnswer(String(back))
    rollbacks.push(performance.now() - began)
  }
  row('', 'p50', 'p95')
  row(`deploy (${DEPLOYS})`, ms(percentile(deploys, 50)), ms(percentile(deploys, 95)))
  row(`rollback (${DEPLOYS})`, ms(percentile(rollbacks, 50)), ms(percentile(rollbacks, 95)))
}

function version(n: number): string {
  return `from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef version() -> int:\n    return ${n}\n`
}

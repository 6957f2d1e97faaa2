import type { PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { ms, percentile, row, section } from './lib.ts'

const DEPLOYS = 20

/** From the POST until the new version's first answer. */
export async function benchDeploy(_platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section('Deploy: POST to the first 200 of the new version')
  const app = await user.liveApp({ code: version(0) }, 'bench deploy')
  const took: number[] = []
  for (let n = 1; n <= DEPLOYS; n++) {
    const began = performance.now()
    await user.must('POST', `/apps/${app.app_id}/deploy`, { files: { 'app.py': version(n) } })
    for (;;) {
      const answer = await user.call(app.app_id, '/')
      if (answer.text === String(n)) break
      if (answer.status !== 200) throw new Error(`${answer.status}: ${answer.text}`)
    }
    took.push(performance.now() - began)
  }
  row('', 'p50', 'p95')
  row(`deploy (${DEPLOYS})`, ms(percentile(took, 50)), ms(percentile(took, 95)))
}

function version(n: number): string {
  return `from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef version() -> int:\n    return ${n}\n`
}

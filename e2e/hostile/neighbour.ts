import { request } from 'node:http'
import { percentile } from '../harness/percentile.ts'
import type { PlatformUnderTest } from '../harness/platform.ts'
import type { TestUser } from '../harness/user.ts'

/** A neighbour's measurements during an attack. Times in ms. */
export interface Seen {
  readonly p50: number
  readonly p99: number
  /** Requests that were not answered with 200 and the right body. */
  readonly errors: readonly string[]
}

const REQUESTS = 150
const TIMEOUT = 20_000

/** A tenant who only calls an own app, one request after the other, each on a new connection. */
export interface Neighbour {
  readonly appId: string
  /** Calls at least 150 times, and for as long as `during` takes. */
  measure(during?: Promise<unknown>): Promise<Seen>
}

export async function neighbourOf(platform: PlatformUnderTest, user: TestUser): Promise<Neighbour> {
  const code =
    'from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef answer() -> str:\n    return "well"\n'
  const { app_id: appId } = await user.liveApp({ code }, 'neighbour')
  const get = (): Promise<string> => call(platform, `app-${appId}.${platform.appDomain}`)
  await get()
  return {
    appId,
    async measure(during = Promise.resolve()) {
      let over = false
      const ended = during.finally(() => (over = true))
      const times: number[] = []
      const errors: string[] = []
      while (!over || times.length < REQUESTS) {
        const begun = performance.now()
        const answer = await get().catch((error: unknown) => String(error))
        times.push(performance.now() - begun)
        if (answer !== '200 "well"') errors.push(answer.slice(0, 200))
      }
      await ended
      return { p50: percentile(times, 50), p99: percentile(times, 99), errors }
    },
  }
}

function call({ address, port }: PlatformUnderTest, host: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: address,
        port,
        path: '/',
        headers: { host, connection: 'close' },
        agent: false,
        timeout: TIMEOUT,
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => (text += part))
        response.on('end', () => resolve(`${response.statusCode} ${text}`)).on('error', reject)
      },
    )
    sent.on('timeout', () => sent.destroy(new Error('no answer'))).on('error', reject)
    sent.end()
  })
}

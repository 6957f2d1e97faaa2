import { FILE_LIMITS } from '@fp/sdk/wire'
import { Agent, request } from 'node:http'

export const TRIVIAL_APP = `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}
`

/** The most and the largest files that are allowed. */
export function largestDraft(): Record<string, string> {
  const each = Math.floor(FILE_LIMITS.maxTotalBytes / FILE_LIMITS.maxFiles) - 200
  const line = (n: number): string => `def function_${n}(value: int) -> int:\n    return value + ${n}\n\n\n`
  let body = ''
  for (let n = 0; body.length < each; n++) body += line(n)
  const files: Record<string, string> = { 'app.py': TRIVIAL_APP }
  for (let n = 1; n < FILE_LIMITS.maxFiles; n++) files[`module_${n}.py`] = body.slice(0, each)
  return files
}

export { percentile } from '../e2e/harness/percentile.ts'

export function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`
}

export function ratio(value: number): string {
  return `${value.toFixed(2)}x`
}

export function section(title: string): void {
  console.log(`\n## ${title}`)
}

export function row(name: string, ...cells: string[]): void {
  console.log(`${name.padEnd(58)}${cells.map((cell) => cell.padStart(14)).join('')}`)
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

/** One GET over kept-alive connections. Resolves to the ms until the whole answer arrived. Rejects unless its status is 200. */
export function timedGet(target: {
  port?: number
  socketPath?: string
  host?: string
  path?: string
}): Promise<number> {
  const { port, socketPath, host, path = '/' } = target
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...(socketPath ? { socketPath } : { host: '127.0.0.1', port }),
        path,
        agent,
        headers: host ? { host } : {},
      },
      (response) => {
        response.resume()
        response.once('end', () => {
          if (response.statusCode === 200) resolve(performance.now() - began)
          else reject(new Error(`status ${response.statusCode}`))
        })
      },
    )
    sent.once('error', reject)
    sent.end()
  })
}

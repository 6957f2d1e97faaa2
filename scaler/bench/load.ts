import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Load {
  readonly rate: number
  readonly requests: number
  /** The median latency in µs. NaN with autocannon, which only measures whole milliseconds. */
  readonly p50: number
}

export interface LoadOptions {
  readonly connections: number
  readonly seconds: number
  readonly cpu: number
}

const PATH = '/items/42?expand=owner'
const UNITS: Record<string, number> = { us: 1, ms: 1_000, s: 1_000_000 }

/** Sends as many GETs as one core can, with wrk if it is installed. Rejects if any request failed: the result is useless then. */
export async function load(port: number, options: LoadOptions): Promise<Load> {
  try {
    return await byWrk(port, options)
  } catch (error) {
    if (!(error as Error).message.includes('failed to execute wrk')) throw error
    return byAutocannon(port, options)
  }
}

async function byWrk(port: number, { connections, seconds, cpu }: LoadOptions): Promise<Load> {
  const { stdout } = await run('taskset', [
    ...['-c', String(cpu), 'wrk', '--latency', '-t', '1', '-c', String(connections), '-d', `${seconds}s`],
    `http://127.0.0.1:${port}${PATH}`,
  ])
  const failed = /Non-2xx.*|Socket errors.*/.exec(stdout)
  if (failed) throw new Error(`port ${port}: ${failed[0]}`)
  const [, value, unit] = /50%\s+([\d.]+)(us|ms|s)/.exec(stdout)!
  return {
    rate: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)![1]),
    requests: Number(/(\d+) requests in/.exec(stdout)![1]),
    p50: Number(value) * UNITS[unit!]!,
  }
}

async function byAutocannon(port: number, { connections, seconds, cpu }: LoadOptions): Promise<Load> {
  const { stdout } = await run('taskset', [
    ...['-c', String(cpu), 'autocannon', '--json', '-c', String(connections), '-d', String(seconds)],
    `http://127.0.0.1:${port}${PATH}`,
  ])
  const { requests, errors, non2xx } = JSON.parse(stdout) as {
    requests: { average: number; total: number }
    errors: number
    non2xx: number
  }
  if (errors + non2xx > 0) throw new Error(`port ${port}: ${errors} errors, ${non2xx} non-2xx`)
  return { rate: requests.average, requests: requests.total, p50: NaN }
}

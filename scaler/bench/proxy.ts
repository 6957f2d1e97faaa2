import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BARE, CADDY, CANDIDATES, node } from './candidates.ts'
import { load } from './load.ts'
import { Server } from './server.ts'

/** The proxy uses one core alone; the load generator and the upstream share the other. */
const PROXY_CPU = 0
const LOAD_CPU = 1
const CONNECTIONS = 32
/** The number of rounds. The candidates take turns, so that a disturbance of the machine affects all of them. */
const ROUNDS = 5
const SECONDS = 3
/** The warm-up, in which the code of a candidate is compiled. */
const WARM_UP_SECONDS = 2

interface Figures {
  readonly rates: number[]
  /** Processor time per request in µs. */
  readonly costs: number[]
  /** The median latency with one connection in µs. */
  readonly latencies: number[]
}

/** Measures the cost of a request through the plugin, compared with other proxies and with no proxy. */
export async function benchProxy(): Promise<void> {
  await using upstream = await Server.start(LOAD_CPU, node('upstream.ts'))
  await using folder = await mkdtempDisposable(join(tmpdir(), 'fp-bench-'))
  await using stack = new AsyncDisposableStack()
  const place = { cpu: PROXY_CPU, upstream: upstream.port, folder: folder.path }
  const servers = new Map<string, Server>()
  const figures = new Map<string, Figures>()
  for (const { name, start } of CANDIDATES) {
    const server = await start(place)
    if (!server) continue
    servers.set(name, stack.use(server))
    figures.set(name, { rates: [], costs: [], latencies: [] })
    await measure(server, CONNECTIONS, WARM_UP_SECONDS)
  }
  const direct: number[] = []

  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, server] of servers) {
      const { rates, costs, latencies } = figures.get(name)!
      const before = await server.cpu()
      const { rate, requests } = await measure(server, CONNECTIONS, SECONDS)
      rates.push(rate)
      costs.push(((await server.cpu()) - before) / requests)
      latencies.push((await measure(server, 1, 1)).p50)
    }
    direct.push((await measure(upstream, 1, 1)).p50)
  }
  print(figures, median(direct))
}

function measure(server: Server, connections: number, seconds: number): ReturnType<typeof load> {
  return load(server.port, { connections, seconds, cpu: LOAD_CPU })
}

function print(figures: Map<string, Figures>, direct: number): void {
  console.log(`\n## Proxies on one core, ${CONNECTIONS} connections; medians of ${ROUNDS} rounds`)
  const row = (...cells: string[]): void =>
    console.log(cells.map((cell, index) => (index === 0 ? cell.padEnd(28) : cell.padStart(16))).join(''))
  row('', 'requests/s', 'of bare', 'of Caddy', 'CPU µs/request', 'of bare', 'of Caddy', 'added p50 µs')
  /** The ratio of two rates, or the inverse ratio of two costs: more is better. */
  const beside = (kind: 'rates' | 'costs', name: string): string[] =>
    [BARE, CADDY].map((other) => {
      const ratio = median(figures.get(name)![kind]) / median(figures.get(other)?.[kind] ?? [])
      return (kind === 'rates' ? ratio : 1 / ratio).toFixed(2)
    })
  for (const [name, { rates, costs, latencies }] of figures) {
    const byRate = [median(rates).toFixed(0), ...beside('rates', name)]
    const byCost = [median(costs).toFixed(1), ...beside('costs', name)]
    row(name, ...byRate, ...byCost, (median(latencies) - direct).toFixed(0))
  }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}

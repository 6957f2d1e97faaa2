import { execFile, spawn, type ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { TestCluster } from './test-cluster.ts'

const fileOf = (name: string): string => path.join(import.meta.dirname, name)

test.each([
  'readme-example.ts',
  'kubernetes-example.ts',
  'thread-driver-example.ts',
  'contract-example.ts',
  'node-http-example.ts',
  'job-queue-example.ts',
])('the README shows %s as it is tested here', async (name) => {
  const readme = await readFile(fileOf('../README.md'), 'utf8')
  const shown = [...readme.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code)
  expect(shown).toContain(await readFile(fileOf(name), 'utf8'))
})

/** Runs an example until it is stopped by the signal; it must end by itself then, as nothing is left that it started. */
async function run(
  name: string,
  env: NodeJS.ProcessEnv,
  stop: NodeJS.Signals,
  use: (url: URL) => Promise<void>,
): Promise<void> {
  const child: ChildProcessByStdio<null, Readable, null> = spawn(
    process.execPath,
    ['--conditions=@fp/source', fileOf(name)],
    { env: { PATH: process.env['PATH'], PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const exited = once(child, 'exit')
  try {
    const [line] = (await Promise.race([once(child.stdout, 'data'), exited])) as [Buffer]
    await use(new URL(String(line).trim().split(' ').at(-1)!))
  } finally {
    child.kill(stop)
  }
  expect(await exited).toEqual([0, null])
}

test('the example answers a request by a target that it wakes, and leaves nothing behind', () =>
  run('readme-example.ts', {}, 'SIGINT', async (url) => {
    const response = await fetch(url)
    expect(await response.text()).toContain('Directory listing')
    expect(response.headers.get('server-timing')).toMatch(/^wake;dur=/)
  }))

test('the example ends although a client keeps a connection open on which it sends nothing', () =>
  run('readme-example.ts', {}, 'SIGINT', async ({ port }) => {
    await once(
      connect(Number(port), '127.0.0.1').on('error', () => undefined),
      'connect',
    )
  }))

test('the example with node:http wakes a target by its host, and refuses unknown hosts', () =>
  run('node-http-example.ts', {}, 'SIGTERM', async ({ port }) => {
    const ask = async (host: string): Promise<[number | undefined, string]> => {
      const asked = get({ host: '127.0.0.1', port, path: '/world', headers: { host }, agent: false })
      const [answer] = (await once(asked, 'response')) as [IncomingMessage]
      return [answer.statusCode, Buffer.concat(await answer.toArray()).toString()]
    }
    expect(await ask('hello.localhost')).toEqual([200, 'hello /world'])
    expect(await ask('unknown.localhost')).toEqual([404, 'No app has this host.\n'])
  }))

test('the example of a job queue does all jobs, and ends', async () => {
  const args = ['--conditions=@fp/source', fileOf('job-queue-example.ts')]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  expect(stdout.trim().split(' ')).toEqual(Array.from({ length: 10 }, (_, n) => `/resize/${n}`))
})

test('the example of Kubernetes wakes a Deployment, and leaves its pods alone when it ends', async () => {
  await using cluster = await TestCluster.start()
  cluster.deployment('shop')
  // All pods at one address, whose server is there before they are.
  cluster.address = '127.0.0.57'
  const pod = createServer((request, response) => response.end(request.url)).listen(8080, cluster.address)
  await once(pod, 'listening')
  const folder = await mkdtemp(path.join(tmpdir(), 'fp-scaler-readme-'))
  const env = { KUBECONFIG: path.join(folder, 'config') }
  await writeFile(env.KUBECONFIG, cluster.config.exportConfig())
  try {
    await run('kubernetes-example.ts', env, 'SIGTERM', async ({ port }) => {
      const [answer] = (await once(
        get({ host: '127.0.0.1', port, path: '/cart', headers: { host: 'shop.example.org' } }),
        'response',
      )) as [IncomingMessage]
      expect(Buffer.concat(await answer.toArray()).toString()).toBe('/cart')
      expect(answer.headers['server-timing']).toMatch(/^wake;dur=/)
      expect(cluster.replicas('shop')).toBe(1)
    })
    expect(cluster.replicas('shop')).toBe(1)
  } finally {
    pod.close()
    await rm(folder, { recursive: true })
  }
})

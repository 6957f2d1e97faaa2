import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { consolePlugin } from './console.ts'
import { errorsPlugin } from './errors.ts'

const SCRIPT = 'start("app")'
let dir: string
let app: FastifyInstance
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'fp-console-'))
  await mkdir(path.join(dir, '_app/immutable'), { recursive: true })
  await writeFile(path.join(dir, 'index.html'), `<script src="/a.js"></script><script>${SCRIPT}</script>`)
  await writeFile(path.join(dir, '_app/immutable/x.abc.js'), 'x')
  await writeFile(path.join(dir, 'favicon.svg'), '<svg/>')
  app = Fastify()
  await app.register(errorsPlugin)
  await app.register(consolePlugin, { dir })
})
afterAll(async () => {
  await app.close()
  await rm(dir, { recursive: true })
})

const get = (url: string, accept = 'text/html,*/*') => app.inject({ url, headers: { accept } })

it('answers every navigation with the page, and allows only its scripts', async () => {
  for (const url of ['/', '/apps/abc', '/index.html']) {
    const answer = await get(url)
    expect([url, answer.statusCode, answer.headers['content-type']]).toEqual([
      url,
      200,
      'text/html; charset=utf-8',
    ])
    expect(answer.headers['cache-control']).toBe('no-cache')
    const hash = createHash('sha256').update(SCRIPT).digest('base64')
    expect(answer.headers['content-security-policy']).toContain(
      `script-src 'self' 'wasm-unsafe-eval' 'sha256-${hash}';`,
    )
    expect(answer.headers['content-security-policy']).toContain("frame-ancestors 'none'")
  }
})

it('allows caching hashed files for ever, and revalidates the others', async () => {
  expect((await get('/_app/immutable/x.abc.js')).headers['cache-control']).toContain('immutable')
  expect((await get('/favicon.svg')).headers['cache-control']).toBe('no-cache')
})

it('answers unknown paths with 404 if the request is not a navigation', async () => {
  expect((await get('/_app/immutable/gone.js')).statusCode).toBe(404)
  expect((await get('/api/gone')).json().code).toBe('FP_NOT_FOUND')
  expect((await get('/apps/abc', 'application/json')).statusCode).toBe(404)
  expect((await get('/..%2f..%2fetc/passwd', '*/*')).statusCode).toBe(404)
})

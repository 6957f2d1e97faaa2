import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { ApiError, createClient, everyItem, fieldErrors, type Client } from './index.ts'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** A real HTTP server on a free port, and a client of it. */
async function serve(listener: RequestListener): Promise<Client> {
  const listening = createServer(listener)
  server = listening
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve))
  return createClient({
    baseUrl: `http://127.0.0.1:${(listening.address() as AddressInfo).port}`,
    token: 'fp_secret',
  })
}

const failure = (call: Promise<unknown>): Promise<ApiError> =>
  call.then(
    () => expect.unreachable(),
    (error) => error as ApiError,
  )

test('sends the token, the body and the path', async () => {
  const client = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      expect(request.headers.authorization).toBe('Bearer fp_secret')
      response.end(JSON.stringify({ method: request.method, url: request.url, body: JSON.parse(body) }))
    })
  })
  const answer = await client.apps.saveDraft('a b', { files: { 'app.py': 'x' }, revision: 3 })
  expect(answer).toEqual({
    method: 'PUT',
    url: '/api/apps/a%20b/draft',
    body: { files: { 'app.py': 'x' }, revision: 3 },
  })
})

test('an error body becomes an ApiError with its fields', async () => {
  const details = [{ field: 'username', message: 'is taken' }, { nonsense: true }]
  const client = await serve((_, response) => {
    response.writeHead(409, { 'x-request-id': 'r1' })
    response.end(JSON.stringify({ code: 'FP_NAME_TAKEN', message: 'Taken.', details }))
  })
  const error = await failure(client.auth.login({ username: 'u', password: 'p' }))
  expect(error).toBeInstanceOf(ApiError)
  expect(error).toMatchObject({ status: 409, code: 'FP_NAME_TAKEN', message: 'Taken.', request_id: 'r1' })
  expect(fieldErrors(error)).toEqual([{ field: 'username', message: 'is taken' }])
})

test("a proxy's page and a closed port are ApiErrors too", async () => {
  const client = await serve((_, response) => response.writeHead(502).end('<h1>Bad gateway</h1>'))
  expect(await failure(client.auth.me())).toMatchObject({ status: 502, code: 'FP_BAD_ANSWER' })
  const nobody = createClient({ baseUrl: 'http://127.0.0.1:9' })
  expect(await failure(nobody.auth.me())).toMatchObject({ status: 0, code: 'FP_NETWORK' })
})

test('an abort throws the reason, not an ApiError', async () => {
  const client = await serve(() => {})
  const controller = new AbortController()
  const call = client.auth.me({ signal: controller.signal })
  const reason = new Error('left')
  controller.abort(reason)
  expect(await failure(call)).toBe(reason)
})

test('reads every page of a list', async () => {
  const client = await serve((request, response) => {
    const second = request.url === '/api/apps?cursor=c2'
    response.end(
      JSON.stringify(second ? { items: [3], next_cursor: null } : { items: [1, 2], next_cursor: 'c2' }),
    )
  })
  const items: unknown[] = []
  for await (const item of everyItem<unknown>((cursor) => client.apps.list({ cursor }))) items.push(item)
  expect(items).toEqual([1, 2, 3])
})

test('a broken event stream is opened again and each event comes once', async () => {
  const event = (stage: string): string =>
    `event: ${stage}\ndata: ${JSON.stringify({ deployment_id: 'd', stage, at: stage })}\n\n`
  let connections = 0
  const client = await serve((_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(event('validating'))
    if (++connections === 1) response.write(event('creating'), () => response.destroy())
    else response.end(event('creating') + event('starting') + event('ready'))
  })
  const stages = []
  for await (const { stage } of client.deployments.watch('a', 'd')) stages.push(stage)
  expect(stages).toEqual(['validating', 'creating', 'starting', 'ready'])
  expect(connections).toBe(2)
})

test('uploads each file under its path, and says where it is downloaded', async () => {
  const client = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk) => (body += chunk))
    request.on('end', () => {
      expect(request.headers['content-type']).toMatch(/^multipart\/form-data; boundary=/)
      expect(body).toContain('name="static/a b.png"')
      response.end(JSON.stringify({ method: request.method, url: request.url }))
    })
  })
  const answer = await client.apps.uploadAssets('x', new Map([['static/a b.png', new Blob(['bytes'])]]))
  expect(answer).toEqual({ method: 'POST', url: '/api/apps/x/assets' })
  expect(client.apps.assetUrl('x', 'static/a b#.png')).toMatch(
    /^http.*\/api\/apps\/x\/assets\/static\/a%20b%23\.png$/,
  )
})

import { createHash, randomBytes } from 'node:crypto'
import { ASSET_LIMITS } from '@fp/sdk/wire'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { HELLO, modulesBench, type ModulesBench, type Requests } from '../../../test/modules.ts'
import { REVIEW_AFTER } from '../assets/service.ts'

let bench: ModulesBench
let ann: Requests
let app: string
/** Added to the clock of the modules. */
let later = 0

beforeAll(async () => {
  bench = await modulesBench({ now: () => new Date(Date.now() + later) })
})
afterAll(async () => bench[Symbol.asyncDispose]())

let users = 0
beforeEach(async () => {
  ann = bench.as(`u_ann${++users}`)
  app = (await ann('POST', '/api/apps', { name: 'a', files: HELLO })).body.app_id
})

const PNG = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.from([0, 255, 254, 10, 13])])

type Files = Record<string, Buffer>
async function upload(files: Files, options: { app?: string; user?: string } = {}) {
  const form = new FormData()
  for (const [path, content] of Object.entries(files)) form.append(path, new Blob([content]), 'x')
  const sent = new Request('http://x', { method: 'POST', body: form })
  const response = await bench.api.inject({
    method: 'POST',
    url: `/api/apps/${options.app ?? app}/assets`,
    headers: {
      authorization: `Bearer ${options.user ?? `u_ann${users}`}`,
      'content-type': sent.headers.get('content-type')!,
    },
    payload: Buffer.from(await sent.arrayBuffer()),
  })
  return { status: response.statusCode, body: response.json() }
}
async function download(path: string, of = `/api/apps/${app}/assets/`, headers = {}) {
  return bench.api.inject({ url: of + path, headers: { authorization: `Bearer u_ann${users}`, ...headers } })
}
const assets = async () => (await ann('GET', `/api/apps/${app}/draft`)).body.assets
const change = (changes: object) => ann('PATCH', `/api/apps/${app}/assets`, { changes })
const blobs = () => bench.mongo.db.collection('blobs').countDocuments({ ownerId: `u_ann${users}` })
/** Runs the work that is due after a quarter of an hour. */
async function sweep() {
  later += REVIEW_AFTER + 1_000
  await bench.services.sweepAssets()
}
async function deploy(of = app): Promise<number> {
  const { body } = await ann('POST', `/api/apps/${of}/deploy`)
  await bench.services.deployments.idle()
  return body.version
}

test('an upload is stored unchanged, and the JSON of the files does not contain it', async () => {
  const sha256 = createHash('sha256').update(PNG).digest('hex')
  const logo = { path: 'static/logo ü.png', bytes: PNG.length, type: 'image/png', sha256 }
  const answer = await upload({ 'static/logo ü.png': PNG, 'data/x.bin': Buffer.alloc(0) })
  expect(answer).toMatchObject({
    status: 200,
    body: { saved: ['static/logo ü.png', 'data/x.bin'], refused: [] },
  })
  expect((await assets())[1]).toEqual(logo)
  expect((await ann('GET', `/api/apps/${app}`)).body.draft).toMatchObject({
    files: HELLO,
    assets: [{ path: 'data/x.bin', bytes: 0 }, logo],
    revision: 1,
  })
  const { rawPayload, headers } = await download('static/logo%20%C3%BC.png')
  expect(rawPayload.equals(PNG)).toBe(true)
  expect(headers).toMatchObject({
    'content-type': 'image/png',
    'content-security-policy': "default-src 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'content-disposition': "attachment; filename*=UTF-8''logo%20%C3%BC.png",
  })
  const again = await download('static/logo%20%C3%BC.png', undefined, { 'if-none-match': headers.etag })
  expect(again.statusCode).toBe(304)
})

test('an uploaded HTML page cannot be opened on the console’s host', async () => {
  await upload({ 'static/x.html': Buffer.from('<script>alert(1)</script>') })
  expect((await download('static/x.html')).headers).toMatchObject({
    'content-type': 'application/octet-stream',
    'content-disposition': expect.stringMatching(/^attachment/),
  })
})

test('files that cannot be stored are named with their reason, and the others are stored', async () => {
  const answer = await upload({
    'static/a.png': PNG,
    'static/big.png': Buffer.alloc(ASSET_LIMITS.maxFileBytes + 1),
    '../x.png': PNG,
    'tool.py': PNG,
    'fast.so': PNG,
    'app.py/x.png': PNG,
    'static/A.png': PNG,
    '.env': PNG,
  })
  expect(answer.status).toBe(200)
  expect(answer.body.saved).toEqual(['static/a.png'])
  expect(answer.body.refused.map((one: { path: string; code: string }) => [one.path, one.code])).toEqual([
    ['static/big.png', 'FP_FILE_TOO_LARGE'],
    ['../x.png', 'FP_FILE_PATH'],
    ['tool.py', 'FP_FILE_EXTENSION'],
    ['fast.so', 'FP_FILE_EXTENSION'],
    ['app.py/x.png', 'FP_FILE_PATH'],
    ['static/A.png', 'FP_FILE_PATH'],
    ['.env', 'FP_FILE_PATH'],
  ])
  expect(answer.body.refused[0].message).toContain('at most 2 MB')
  expect(await blobs()).toBe(1)
})

test('an upload of which no file can be stored fails with the first reason', async () => {
  expect(await upload({ 'x.py': PNG, 'y.py': PNG })).toMatchObject({
    status: 422,
    body: { code: 'FP_FILE_EXTENSION', details: { refused: [{ path: 'x.py' }, { path: 'y.py' }] } },
  })
  expect(await upload({})).toMatchObject({ status: 400, body: { code: 'FP_INVALID_MULTIPART' } })
})

test('the largest asset is kept, and an app has at most 20 MB of them', async () => {
  const largest = (n: number) => Buffer.alloc(ASSET_LIMITS.maxFileBytes, n)
  const first = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`static/${n}.bin`, largest(n)]))
  expect((await upload(first)).body.saved).toHaveLength(9)
  const { body } = await upload({ 'static/9.bin': largest(9), 'static/10.bin': largest(10) })
  expect(body).toMatchObject({ saved: ['static/9.bin'], refused: [{ code: 'FP_FILES_TOO_LARGE' }] })
  expect(body.refused[0].message).toContain('at most 20 MB')
  // The same path again does not make a second asset.
  expect((await upload({ 'static/9.bin': largest(11) })).status).toBe(200)
  expect((await download('static/9.bin')).rawPayload.equals(largest(11))).toBe(true)
})

test('the bytes of a user’s assets in all apps and versions are limited', async () => {
  await bench.mongo.db.collection<{ _id: string }>('blobs').insertOne({
    _id: `u_ann${users}.x`,
    ownerId: `u_ann${users}`,
    bytes: ASSET_LIMITS.maxUserBytes - 10,
  } as never)
  expect((await upload({ 'a.bin': Buffer.alloc(10, 1) })).status).toBe(200)
  const answer = await upload({ 'a.bin': Buffer.alloc(10, 1), 'b.bin': Buffer.alloc(1, 2) })
  // A content that exists already takes no additional space.
  expect(answer.body.saved).toEqual(['a.bin'])
  expect(answer.body.refused[0]).toMatchObject({
    code: 'FP_ASSET_QUOTA',
    message: expect.stringContaining('200 MB'),
  })
})

test('renaming and deleting changes the draft at once or not at all', async () => {
  await upload({ 'static/a.png': PNG, 'static/b.png': Buffer.from('b'), 'static/c.png': Buffer.from('c') })
  const paths = async () => (await assets()).map((asset: { path: string }) => asset.path)
  // Two assets swap their paths.
  const swapped = await change({
    'static/a.png': 'static/b.png',
    'static/b.png': 'static/a.png',
    'static/c.png': null,
  })
  expect(swapped.status).toBe(200)
  expect(await paths()).toEqual(['static/a.png', 'static/b.png'])
  expect((await download('static/b.png')).rawPayload.equals(PNG)).toBe(true)
  for (const [changes, code] of [
    [{ 'static/a.png': 'static/b.png' }, 'FP_FILE_PATH'],
    [{ 'static/a.png': 'x/y.png', 'static/none.png': null }, 'FP_ASSET_NOT_FOUND'],
    [{ 'static/a.png': 'app.py' }, 'FP_FILE_EXTENSION'],
    [{ 'static/a.png': '../a.png' }, 'FP_FILE_PATH'],
  ] as const) {
    expect((await change(changes)).body).toMatchObject({ code })
    expect(await paths()).toEqual(['static/a.png', 'static/b.png'])
  }
  expect((await ann('DELETE', `/api/apps/${app}/assets/static/a.png`)).status).toBe(204)
  expect((await ann('DELETE', `/api/apps/${app}/assets/static/a.png`)).status).toBe(404)
  expect(await paths()).toEqual(['static/b.png'])
})

test('edits of the files and changes of the assets do not conflict', async () => {
  const saves = Array.from({ length: 8 }, (_, n) =>
    ann('PUT', `/api/apps/${app}/draft`, { files: { 'app.py': `${n}` } }),
  )
  const uploads = Array.from({ length: 2 }, (_, n) => upload({ [`static/${n}.bin`]: Buffer.from([n]) }))
  const answers = await Promise.all([...saves, ...uploads])
  expect(answers.map((answer) => answer.status)).toEqual(Array(10).fill(200))
  expect(await assets()).toHaveLength(2)
  // A revision that was read before the upload is still the draft's.
  const { revision } = (await ann('GET', `/api/apps/${app}/draft`)).body
  await upload({ 'static/z.bin': PNG })
  const saved = await ann('PUT', `/api/apps/${app}/draft`, { files: HELLO, revision })
  expect(saved).toMatchObject({ status: 200, body: { files: HELLO } })
  expect(saved.body.assets).toHaveLength(3)
})

test('a file and an asset cannot have one path', async () => {
  await upload({ 'static/site.css': PNG })
  const files = { ...HELLO, 'static/site.css': '' }
  expect((await ann('PUT', `/api/apps/${app}/draft`, { files })).body).toMatchObject({ code: 'FP_FILE_PATH' })
  await ann('PUT', `/api/apps/${app}/draft`, { files: { ...HELLO, 'static/other.css': '' } })
  expect((await upload({ 'static/other.css': PNG })).body).toMatchObject({ code: 'FP_FILE_PATH' })
})

test('a version keeps its assets when the draft changes, and a changed asset is an unpublished change', async () => {
  const unpublished = async () => (await ann('GET', `/api/apps/${app}`)).body.has_unpublished_changes
  await upload({ 'static/a.png': PNG })
  const version = await deploy()
  expect(await unpublished()).toBe(false)
  await upload({ 'static/a.png': Buffer.from('other') })
  expect(await unpublished()).toBe(true)
  await ann('DELETE', `/api/apps/${app}/assets/static/a.png`)
  await sweep()
  const found = await ann('GET', `/api/apps/${app}/versions/${version}`)
  expect(found.body).toMatchObject({ file_count: 2, assets: [{ path: 'static/a.png', bytes: PNG.length }] })
  const kept = await download('static/a.png', `/api/apps/${app}/versions/${version}/assets/`)
  expect(kept.rawPayload.equals(PNG)).toBe(true)
  const spec = await bench.services.specOf(`${app}.${version}.1`)
  expect((await spec.assets[0]!.read()).equals(PNG)).toBe(true)
})

test('a content is stored once, and deleted when no draft and no version refers to it', async () => {
  await upload({ 'static/a.png': PNG, 'static/copy.png': PNG })
  await deploy()
  const clone = (await ann('POST', `/api/apps/${app}/clone`)).body.app_id
  await ann('PUT', `/api/apps/${clone}/draft`, { files: HELLO })
  expect(await blobs()).toBe(1)
  await change({ 'static/a.png': null, 'static/copy.png': null })
  await ann('DELETE', `/api/apps/${app}`)
  await sweep()
  expect(await blobs()).toBe(1)
  const kept = await download('static/a.png', `/api/apps/${clone}/assets/`)
  expect(kept.rawPayload.equals(PNG)).toBe(true)
  await ann('DELETE', `/api/apps/${clone}`)
  await sweep()
  expect(await blobs()).toBe(0)
})

test('assets of versions that are no longer kept are deleted', async () => {
  await upload({ 'static/a.png': PNG })
  await deploy()
  await ann('DELETE', `/api/apps/${app}/assets/static/a.png`)
  for (let n = 0; n < 9; n++) await deploy()
  await sweep()
  expect(await blobs()).toBe(1)
  await deploy()
  // Pruning follows the deployment.
  await expect
    .poll(async () => {
      await sweep()
      return blobs()
    })
    .toBe(0)
})

test('a content that is uploaded again just before its deletion stays', async () => {
  await upload({ 'static/a.png': PNG })
  await ann('DELETE', `/api/apps/${app}/assets/static/a.png`)
  later += REVIEW_AFTER + 1_000
  const [, answer] = await Promise.all([bench.services.sweepAssets(), upload({ 'static/b.png': PNG })])
  expect(answer.status).toBe(200)
  await bench.services.sweepAssets()
  expect((await download('static/b.png')).rawPayload.equals(PNG)).toBe(true)
})

test('an upload that breaks off changes nothing and leaves nothing behind', async () => {
  const body = Buffer.from(
    `--cut\r\nContent-Disposition: form-data; name="static/a.png"\r\n\r\n${'x'.repeat(99)}\r\n--cut\r\nContent-Disp`,
  )
  const answer = await bench.api.inject({
    method: 'POST',
    url: `/api/apps/${app}/assets`,
    headers: { authorization: `Bearer u_ann${users}`, 'content-type': 'multipart/form-data; boundary=cut' },
    payload: body,
  })
  expect(answer.json()).toMatchObject({ code: 'FP_INVALID_MULTIPART' })
  expect(await assets()).toEqual([])
  await sweep()
  expect(await blobs()).toBe(0)
})

test('nobody reaches, changes or learns of another user’s assets', async () => {
  await upload({ 'static/a.png': PNG })
  const eve = bench.as('u_eve')
  for (const [method, path, body] of [
    ['GET', `/api/apps/${app}/assets/static/a.png`, undefined],
    ['GET', `/api/apps/${app}/versions/1/assets/static/a.png`, undefined],
    ['DELETE', `/api/apps/${app}/assets/static/a.png`, undefined],
    ['PATCH', `/api/apps/${app}/assets`, { changes: { 'static/a.png': null } }],
  ] as const) {
    expect(await eve(method, path, body)).toMatchObject({ status: 404, body: { code: 'FP_APP_NOT_FOUND' } })
  }
  expect((await upload({ 'static/a.png': PNG }, { user: 'u_eve' })).body.code).toBe('FP_APP_NOT_FOUND')
  expect(await assets()).toHaveLength(1)
  // Equal contents of two users are two blobs, so neither user learns that the other has it.
  const own = (await eve('POST', '/api/apps', { name: 'e', files: HELLO })).body.app_id
  await upload({ 'x.png': PNG }, { app: own, user: 'u_eve' })
  expect(await bench.mongo.db.collection('blobs').countDocuments({ ownerId: 'u_eve' })).toBe(1)
})

test('only forms are accepted', async () => {
  expect(await ann('POST', `/api/apps/${app}/assets`, { x: 1 })).toMatchObject({
    status: 415,
    body: { code: 'FP_UNSUPPORTED_MEDIA_TYPE' },
  })
})

test('concurrent uploads of one user are limited, and those of others continue', async () => {
  const content = { 'static/a.bin': randomBytes(ASSET_LIMITS.maxFileBytes) }
  const answers = await Promise.all(Array.from({ length: 6 }, () => upload(content)))
  const statuses = answers.map((answer) => answer.status)
  expect(statuses).toContain(200)
  expect(new Set(statuses)).toEqual(new Set([200, 429]))
  expect((await upload(content)).status).toBe(200)
})

import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import type { Asset, UploadAnswer, Version } from '@fp/sdk/wire'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

let platform: PlatformUnderTest
let user: TestUser

beforeAll(async () => {
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'painter')
})
afterAll(async () => platform[Symbol.asyncDispose]())

const APP = `import csv
from fastapi import FastAPI

app = FastAPI()


@app.get("/rows")
def rows():
    with open("data/x.csv", newline="") as file:
        return list(csv.DictReader(file))


@app.get("/write")
def write():
    try:
        open("static/logo.png", "ab").write(b"x")
    except OSError:
        return "refused"
`

async function upload(appId: string, files: Record<string, Buffer>): Promise<UploadAnswer> {
  const form = new FormData()
  for (const [path, content] of Object.entries(files)) form.append(path, new Blob([new Uint8Array(content)]))
  const response = await fetch(`${platform.url}/api/apps/${appId}/assets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${user.token}` },
    body: form,
  })
  expect(response.status).toBe(200)
  return (await response.json()) as UploadAnswer
}

/** The bytes that the app answers with. */
function bytesOf(appId: string, path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const host = `app-${appId}.${platform.appDomain}`
    request({ host: platform.address, port: platform.port, path, headers: { host } }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).once('error', reject)
      response.once('end', () => resolve(Buffer.concat(chunks)))
    })
      .once('error', reject)
      .end()
  })
}

test('what is uploaded is what the app serves and reads, also after a sleep, a new version and a rollback', async () => {
  const [first, second] = [randomBytes(300_000), randomBytes(2 * 1024 * 1024)]
  const { app_id: id } = await user.createApp({ files: { 'app.py': APP } })
  await upload(id, { 'static/logo.png': first, 'data/x.csv': Buffer.from('a,b\n1,ü\n') })
  expect((await user.deploy(id)).stage).toBe('ready')
  expect((await bytesOf(id, '/static/logo.png')).equals(first)).toBe(true)
  expect((await user.call(id, '/rows')).json()).toEqual([{ a: '1', b: 'ü' }])
  // A version never changes.
  expect((await user.call(id, '/write')).json()).toBe('refused')

  await user.sleep(id)
  expect((await bytesOf(id, '/static/logo.png')).equals(first)).toBe(true)

  await upload(id, { 'static/logo.png': second })
  expect((await user.deploy(id)).stage).toBe('ready')
  expect((await bytesOf(id, '/static/logo.png')).equals(second)).toBe(true)

  const accepted = await user.must<{ deployment_id: string }>('POST', `/apps/${id}/rollback`, { version: 1 })
  expect((await user.finished(id, accepted.deployment_id)).stage).toBe('ready')
  expect((await bytesOf(id, '/static/logo.png')).equals(first)).toBe(true)

  const { items } = await user.must<{ items: Version[] }>('GET', `/apps/${id}/versions`)
  expect(items.map((version) => version.file_count)).toEqual([3, 3])
  const draft = await user.must<{ assets: Asset[] }>('GET', `/apps/${id}/draft`)
  expect(draft.assets.find((asset) => asset.path === 'static/logo.png')?.bytes).toBe(second.length)
})

test('a client that goes away in the middle of an upload changes nothing', async () => {
  const { app_id: id } = await user.createApp({ files: { 'app.py': APP } })
  const head = '--cut\r\nContent-Disposition: form-data; name="static/a.png"\r\n\r\n'
  await new Promise<void>((resolve) => {
    const sent = request(`${platform.url}/api/apps/${id}/assets`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${user.token}`,
        'content-type': 'multipart/form-data; boundary=cut',
        'content-length': 1_000_000,
      },
    })
    sent.once('error', () => resolve())
    sent.write(head + 'x'.repeat(500_000), () => sent.destroy())
    sent.once('close', () => resolve())
  })
  expect((await user.must<{ assets: Asset[] }>('GET', `/apps/${id}/draft`)).assets).toEqual([])
  // Its place among the user's uploads is free again.
  await upload(id, { 'static/a.png': Buffer.from('whole') })
  await upload(id, { 'static/b.png': Buffer.from('whole') })
})

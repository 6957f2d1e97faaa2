import { randomBytes } from 'node:crypto'
import { request } from 'node:http'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import { chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bytesOf as answeredBytes } from './harness/assets.ts'
import { CHROMIUM } from './harness/chromium.ts'
import { ROOT, startPlatform, type PlatformUnderTest } from './harness/platform.ts'
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

const bytesOf = (appId: string, path: string): Promise<Buffer> => answeredBytes(platform, appId, path)

test('the app serves and reads uploaded assets, also after a sleep, a new version and a rollback', async () => {
  const [first, second] = [randomBytes(300_000), randomBytes(2 * 1024 * 1024)]
  const { app_id: id } = await user.createApp({ files: { 'app.py': APP } })
  await user.upload(id, { 'static/logo.png': first, 'data/x.csv': Buffer.from('a,b\n1,ü\n') })
  expect((await user.deploy(id)).stage).toBe('ready')
  expect((await bytesOf(id, '/static/logo.png')).equals(first)).toBe(true)
  expect((await user.call(id, '/rows')).json()).toEqual([{ a: '1', b: 'ü' }])
  // A version never changes.
  expect((await user.call(id, '/write')).json()).toBe('refused')

  await user.sleep(id)
  expect((await bytesOf(id, '/static/logo.png')).equals(first)).toBe(true)

  await user.upload(id, { 'static/logo.png': second })
  expect((await user.deploy(id)).stage).toBe('ready')
  expect((await bytesOf(id, '/static/logo.png')).equals(second)).toBe(true)

  const accepted = await user.client.apps.rollback(id, 1)
  expect((await user.finished(id, accepted.deployment_id)).stage).toBe('ready')
  expect((await bytesOf(id, '/static/logo.png')).equals(first)).toBe(true)

  const { items } = await user.client.apps.versions(id)
  expect(items.map((version) => version.file_count)).toEqual([3, 3])
  const { draft } = await user.client.apps.get(id)
  expect(draft.assets.find((asset) => asset.path === 'static/logo.png')?.bytes).toBe(second.length)
})

test('a client that disconnects during an upload changes nothing', async () => {
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
  expect((await user.client.apps.get(id)).draft.assets).toEqual([])
  // Its slot among the user's uploads is free again.
  await user.upload(id, { 'static/a.png': Buffer.from('whole') })
  await user.upload(id, { 'static/b.png': Buffer.from('whole') })
})

/** A picture with two colours that a browser can show. */
function png(width: number, height: number): Buffer {
  const row = Buffer.concat([Buffer.from([0]), Buffer.from(Array.from({ length: width }, (_, n) => n % 2))])
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  // 8 bits per pixel, with a palette.
  header.set([8, 3, 0, 0, 0], 8)
  const chunks: [string, Buffer][] = [
    ['IHDR', header],
    ['PLTE', Buffer.from([0x57, 0x53, 0xc6, 0xff, 0xb2, 0x24])],
    ['IDAT', deflateSync(Buffer.concat(Array.from({ length: height }, () => row)))],
    ['IEND', Buffer.alloc(0)],
  ]
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    ...chunks.flatMap(([type, data]) => {
      const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
      const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
      length.writeUInt32BE(data.length)
      sum.writeUInt32BE(crc32(body))
      return [length, body, sum]
    }),
  ])
}

const SHOTS = join(ROOT, '.fp/screenshots')

async function openEditor(page: Page, appId: string): Promise<void> {
  await page.goto(`${platform.url}/login`)
  await page.getByTestId('login-username').fill(user.username)
  await page.getByTestId('login-password').fill('correct horse battery')
  await page.getByTestId('login-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/login'))
  await page.goto(`${platform.url}/apps/${appId}`)
  await page.getByTestId('file-app.py').waitFor()
}

/** Drops files on an element, like a person who drags them from the desktop. */
async function drop(page: Page, testId: string, files: Record<string, string>): Promise<void> {
  // Runs in the page, whose globals are not those of this program.
  const transfer = await page.evaluateHandle((given) => {
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    const data = new (globalThis as any).DataTransfer()
    for (const [name, content] of Object.entries(given)) data.items.add(new File([content], name))
    return data
  }, files)
  for (const type of ['dragover', 'drop']) {
    await page.getByTestId(testId).dispatchEvent(type, { dataTransfer: transfer })
  }
}

test('a picture uploaded in the browser is shown, deployed, renamed and served unchanged', async () => {
  await mkdir(SHOTS, { recursive: true })
  await using stack = new AsyncDisposableStack()
  const browser = await chromium.launch(CHROMIUM)
  stack.defer(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy|Uncaught/.test(message.text()))
      problems.push(message.text())
  })
  const picture = png(320, 200)
  const { app_id: id } = await user.createApp({ files: { 'app.py': APP, 'static/old.css': '' } })
  await openEditor(page, id)

  // Uploads with the button.
  await page.getByTestId('upload-input').setInputFiles([
    { name: 'logo.png', mimeType: 'image/png', buffer: picture },
    { name: 'font.woff2', mimeType: 'font/woff2', buffer: randomBytes(5_000) },
    { name: 'logo.so', mimeType: 'application/octet-stream', buffer: randomBytes(10) },
  ])
  await page.getByText('The asset "logo.so" cannot be kept').waitFor()
  await page.getByTestId('file-static/logo.png').click()
  const image = page.getByTestId('asset-image')
  await image.waitFor()
  await expect.poll(() => page.getByTestId('asset-facts').textContent()).toContain('320 × 200')
  await page.screenshot({ path: join(SHOTS, 'asset-light.png') })
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.screenshot({ path: join(SHOTS, 'asset-dark.png') })
  await page.getByTestId('file-static/font.woff2').click()
  await page.getByTestId('asset-view').getByText('font/woff2').waitFor()
  await page.screenshot({ path: join(SHOTS, 'asset-font.png') })

  // Uploads by dropping: text can be edited, and files dropped on a folder go there.
  await drop(page, 'file-static', { 'site.css': 'body { color: red }' })
  await page.getByTestId('file-static/site.css').waitFor()
  await page.getByTestId('editor').getByText('color').waitFor()

  // Renaming a folder moves text files and assets.
  await page.getByTestId('file-static').focus()
  await page.keyboard.press('F2')
  await page.getByTestId('file-name').fill('public')
  await page.keyboard.press('Enter')
  await page.getByTestId('file-public/logo.png').waitFor()
  await page.getByTestId('file-public/site.css').waitFor()
  await page.getByTestId('file-public').focus()
  await page.keyboard.press('F2')
  await page.getByTestId('file-name').fill('static')
  await page.keyboard.press('Enter')
  await page.getByTestId('file-static/logo.png').waitFor()

  await page.keyboard.press('Control+Enter')
  await page.locator('[data-testid="status-pill"][data-status="running"]').first().waitFor()
  expect((await bytesOf(id, '/static/logo.png')).equals(picture)).toBe(true)
  expect((await bytesOf(id, '/static/site.css')).toString()).toBe('body { color: red }')

  // Deleting asks first. The live version still serves the asset.
  await page.getByTestId('file-static/logo.png').focus()
  await page.keyboard.press('Delete')
  await page.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByTestId('file-static/logo.png').waitFor({ state: 'detached' })
  expect((await bytesOf(id, '/static/logo.png')).equals(picture)).toBe(true)
  expect((await user.client.apps.get(id)).draft.assets.map((one) => one.path)).toEqual(['static/font.woff2'])
  expect(problems).toEqual([])
})

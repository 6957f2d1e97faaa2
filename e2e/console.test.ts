import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHROMIUM } from './harness/chromium.ts'
import { ROOT, startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

const SHOTS = join(ROOT, '.fp/screenshots')

let platform: PlatformUnderTest
let user: TestUser
let browser: Browser
let page: Page

beforeAll(async () => {
  await mkdir(SHOTS, { recursive: true })
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'newcomer')
  browser = await chromium.launch(CHROMIUM)
  page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  await page.goto(`${platform.url}/login`)
  await page.getByTestId('login-username').fill(user.username)
  await page.getByTestId('login-password').fill('correct horse battery')
  await page.getByTestId('login-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/login'))
})
afterAll(async () => {
  await browser?.close()
  await platform?.[Symbol.asyncDispose]()
})

/** Checks the page in the light and the dark theme. */
async function shoot(name: string): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: join(SHOTS, `${name}-${colorScheme}.png`) })
  }
}

async function open(files: Record<string, string>, tab = 'code'): Promise<string> {
  const { app_id: id } = await user.createApp({ files })
  await page.goto(`${platform.url}/apps/${id}/${tab}`)
  await page.getByTestId('status-pill').waitFor()
  return id
}

async function tryPath(path: string): Promise<void> {
  await page.getByTestId('tryit-path').fill(path)
  await page.getByTestId('tryit-send').click()
}

const APP = `import base64, os, time
from fastapi import FastAPI, Response

app = FastAPI()


@app.get("/")
def hello():
    return {"hello": "console"}


@app.get("/crash")
def crash():
    getattr(os, "".join(["_", "exit"]))(3)


@app.get("/picture")
def picture():
    data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    return Response(base64.b64decode(data), media_type="image/png")


@app.get("/bytes")
def some():
    return Response(bytes(range(256)) * 480, media_type="application/x-thing")


@app.get("/slow")
def slow():
    time.sleep(30)
`

test('the end of an app is shown, also after its restart, until another version is live', async () => {
  const id = await open({ 'app.py': APP })
  expect((await user.deploy(id)).stage).toBe('ready')
  expect((await user.call(id, '/crash')).status).toBe(502)
  const card = page.getByTestId('failure-card')
  await expect
    .poll(() => user.client.apps.get(id), { timeout: 8_000 })
    .toMatchObject({ last_failure: { code: 'FP_APP_CRASHED' } })
  await card.waitFor()
  await page.getByRole('heading', { name: 'v1 ended' }).waitFor()
  expect(await card.textContent()).toMatch(/exit code 3/)
  await shoot('ended')
  expect((await user.call(id, '/')).status).toBe(200)
  await page.locator('[data-testid="status-pill"][data-status="running"]').waitFor()
  await expect.poll(() => card.textContent()).toMatch(/Ended \d\d:\d\d.*exit code 3/)
  await shoot('ended-and-running')
  await user.sleep(id)
  await page.locator('[data-testid="status-pill"][data-status="sleeping"]').waitFor()
  expect(await card.textContent()).toMatch(/Ended \d\d:\d\d/)
  await page.goto(platform.url)
  await page
    .locator(`[data-app-id="${id}"]`)
    .getByText(/Ended \d\d:\d\d.*exit code 3/)
    .waitFor()
  await shoot('list-of-ended')
  expect((await user.deploy(id, { 'app.py': `${APP}\n# mended\n` })).stage).toBe('ready')
  await page.goto(`${platform.url}/apps/${id}`)
  await page.getByText('v2 is live').waitFor()
  expect(await card.count()).toBe(0)
})

test('a failed deploy is shown after a reload', async () => {
  const id = await open({ 'app.py': `raise KeyError("no")\n${APP}` })
  expect((await user.deploy(id)).stage).toBe('failed')
  await page.reload()
  await page.getByTestId('deploy-outcome').getByText('Not deployed').waitFor()
  expect(await page.getByTestId('failure-card').textContent()).toContain('KeyError')
  expect(await page.getByText('Not deployed yet').count()).toBe(0)
})

test('a version that failed to start says so, and its failure leads to the line from any tab', async () => {
  const id = await open({ 'app.py': APP })
  expect((await user.deploy(id)).stage).toBe('ready')
  expect((await user.deploy(id, { 'app.py': `import os\nraise KeyError("no")\n${APP}` })).stage).toBe(
    'failed',
  )
  await page.goto(`${platform.url}/apps/${id}/versions`)
  const row = page.locator('[data-testid="version-row"][data-version="2"]')
  await row.getByTestId('failed-to-start').waitFor()
  expect(await page.getByTestId('failed-to-start').count()).toBe(1)
  await shoot('versions')
  await row.getByRole('button', { name: 'Make live' }).click()
  await page.getByText('v2 did not start when it was deployed. It goes live only if it starts now.').waitFor()
  await shoot('versions-confirm')
  await page.getByRole('button', { name: 'Make v2 live' }).click()
  const place = page.getByTestId('failure-place').filter({ visible: true })
  expect(await place.textContent()).toBe('app.py:2')
  expect(await place.getAttribute('title')).toMatch(/Opens the draft/)
  await shoot('versions-failed')
  await place.click()
  await page.getByTestId('editor').filter({ visible: true }).waitFor()
  expect(new URL(page.url()).searchParams.get('tab')).toBeNull()
  await page.getByText('2:1', { exact: true }).waitFor()
  await shoot('versions-failed-line')
  // Other tabs can be opened again.
  await page.getByTestId('tab-logs').click()
  await page.getByTestId('log-lines').waitFor()
})

test('pictures and binary answers are shown as such, a pasted URL is cut to its path, a request is cancelled', async () => {
  const id = await open({ 'app.py': APP })
  expect((await user.deploy(id)).stage).toBe('ready')
  await page.reload()
  await tryPath('/picture')
  await page.getByTestId('tryit-image').waitFor()
  await shoot('try-picture')
  await tryPath('/bytes')
  await page.getByTestId('tryit-binary').getByText('Binary, 120.0 KB of application/x-thing').waitFor()
  await shoot('try-binary')
  await tryPath('/slow')
  await page.getByTestId('tryit-cancel').waitFor()
  expect(await page.getByTestId('tryit-result').count()).toBe(0)
  await page.getByTestId('tryit-cancel').click()
  await tryPath(`http://app-${id}.${platform.appDomain}/?x=1`)
  await page.getByTestId('tryit-body-text').getByText('console').waitFor()
  expect(await page.getByTestId('tryit-path').inputValue()).toBe('/?x=1')
  await tryPath('https://example.com/')
  await page.getByText('Requests go to this app alone').waitFor()
})

test('files go to the expected folders, all are counted, and a drop anywhere uploads', async () => {
  await open({ 'app.py': APP })
  const text = (name: string, content = 'x') => ({ name, mimeType: '', buffer: Buffer.from(content) })
  await page
    .getByTestId('upload-input')
    .setInputFiles([
      text('requirements.txt'),
      text('conf.json', '{}'),
      text('big logo äö (1).bin'),
      text('.env', 'A=1'),
      { name: 'latin.csv', mimeType: '', buffer: Buffer.from('a;ü', 'latin1') },
    ])
  await page.getByText('4 files added to the top folder').waitFor()
  await page.getByText('The .env file was not uploaded').waitFor()
  await shoot('toasts')
  await page.getByTestId('file-latin.csv').click()
  await page.getByTestId('asset-view').getByText('not encoded in UTF-8').waitFor()
  await page.getByTestId('file-conf.json').waitFor()

  // Outside of the panel of files.
  const transfer = await page.evaluateHandle(() => {
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    const data = new (globalThis as any).DataTransfer()
    data.items.add(
      new File(
        [
          '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><circle cx="45" cy="45" r="40" fill="teal"/></svg>',
        ],
        'dot.svg',
      ),
    )
    return data
  })
  for (const type of ['dragover', 'drop'])
    await page.getByTestId('tryit-path').dispatchEvent(type, { dataTransfer: transfer })
  await page.getByTestId('file-dot.svg').waitFor()
  await page.getByTestId('svg-preview').click()
  await page.getByTestId('svg-image').waitFor()
  await shoot('svg')

  await page.getByTestId('file-big logo äö (1).bin').focus()
  await page.keyboard.press('F2')
  await page.getByTestId('file-name').fill('data/big logo äö (2).bin')
  await page.keyboard.press('Enter')
  await page.getByTestId('file-data').hover()
  await page.getByRole('button', { name: 'Actions for data', exact: true }).click()
  const choosing = page.waitForEvent('filechooser')
  await page.getByRole('menuitem', { name: 'Upload here' }).click()
  await (await choosing).setFiles([text('here.txt')])
  await page.getByTestId('file-data/here.txt').waitFor()
})

test('all variables of a pasted .env file are taken, and lines that are left out are named', async () => {
  const id = await open({ 'app.py': APP }, 'environment')
  const pasted = 'A=1\nB="l1\\nl2"\nKEY="-----BEGIN\nx\n-----END"\nPORT=80\nnonsense\n'
  const transfer = await page.evaluateHandle((given) => {
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    const data = new (globalThis as any).DataTransfer()
    data.setData('text', given)
    return data
  }, pasted)
  await page.getByTestId('env-name').evaluate((element, clipboardData) => {
    const { ClipboardEvent } = globalThis as unknown as {
      ClipboardEvent: new (type: string, init: object) => Event
    }
    element.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
  }, transfer)
  await page.getByText('3 variables saved').waitFor()
  expect(await page.getByTestId('env-left-out').textContent()).toMatch(/PORT left out.*Line 7 left out/s)
  await shoot('env-left-out')
  const { env_vars: vars } = await user.client.apps.get(id)
  expect(vars.map(({ name }) => name)).toEqual(['A', 'B', 'KEY'])
  await page.getByTestId('env-name').fill('LD_PRELOAD')
  await page.getByTestId('env-bad-name').getByText('reserved').waitFor()
})

test('an error closes automatically, but not while somebody reads it', async () => {
  await open({ 'app.py': APP })
  await page.clock.install()
  await page
    .getByTestId('upload-input')
    .setInputFiles([{ name: '.env', mimeType: '', buffer: Buffer.from('A=1') }])
  const toast = page.getByTestId('toast')
  await toast.waitFor()
  await toast.hover()
  await page.clock.runFor(30_000)
  expect(await toast.count()).toBe(1)
  await page.mouse.move(5, 5)
  await page.clock.runFor(11_000)
  await toast.waitFor({ state: 'detached' })
})

test('the settings show how much storage there is, and what is deleted with the app', async () => {
  await open({ 'app.py': APP }, 'settings')
  await page.getByText('A folder of 100.0 MB').waitFor()
  await page.getByText('from 5 to 86400').waitFor()
  await page.getByText('secrets included').waitFor()
  await shoot('settings')
})

const STREAM = `import asyncio
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
lines: asyncio.Queue[str] = asyncio.Queue()


@app.post("/say/{line}")
async def say(line: str) -> None:
    await lines.put(line)


@app.get("/lines")
async def listen() -> StreamingResponse:
    async def heard():
        while (line := await lines.get()) != "end":
            yield f"{line}\\n"

    return StreamingResponse(heard(), media_type="text/plain")
`

test('a stream appears as it arrives, until it ends or is stopped', async () => {
  const id = await open({ 'app.py': STREAM })
  expect((await user.deploy(id)).stage).toBe('ready')
  await page.reload()
  const say = (line: string): Promise<unknown> => user.call(id, `/say/${line}`, { method: 'POST' })
  const shown = page.getByTestId('tryit-body-text')
  await tryPath('/lines')
  await page.getByTestId('tryit-streaming').waitFor()
  for (const [line, all] of [
    ['one', 'one\n'],
    ['two', 'one\ntwo\n'],
  ] as const) {
    await say(line)
    await expect.poll(() => shown.textContent()).toBe(all)
  }
  await shoot('try-stream')
  await say('end')
  await page.getByTestId('tryit-streaming').waitFor({ state: 'detached' })
  expect(await shown.textContent()).toBe('one\ntwo\n')
  const total = page.getByTestId('tryit-total')
  expect(await total.textContent()).toMatch(/^complete after/)
  await tryPath('/lines')
  await say('three')
  await shown.getByText('three').waitFor()
  await page.getByTestId('tryit-cancel').click()
  await page.getByTestId('tryit-send').waitFor()
  expect(await shown.textContent()).toBe('three\n')
  expect(await total.textContent()).toMatch(/^stopped after/)
  await shoot('try-stopped')
})

test('each tab is a page: Back goes to the one before, the editor keeps its undo, and old links work', async () => {
  const id = await open({ 'app.py': APP })
  await page.locator('.view-lines').getByText('FastAPI').first().click()
  await page.keyboard.press('Control+Home')
  await page.keyboard.type('# typed ')
  const asked: string[] = []
  page.on('request', (request) => asked.push(new URL(request.url()).pathname))
  for (const tab of ['logs', 'settings']) {
    await page.getByTestId(`tab-${tab}`).click()
    await page.waitForURL(`**/apps/${id}/${tab}`)
  }
  await page.goBack()
  await page.waitForURL(`**/apps/${id}/logs`)
  await page.goBack()
  await page.waitForURL(`**/apps/${id}/code`)
  // The app was not loaded again.
  expect(asked).not.toContain(`/api/apps/${id}`)
  await page.locator('.view-lines').getByText('typed').click()
  // The editor undoes word by word.
  for (let word = 0; word < 3; word++) await page.keyboard.press('Control+z')
  await page.locator('.view-lines').getByText('typed').waitFor({ state: 'detached' })
  await page.goto(`${platform.url}/apps/${id}?tab=versions`)
  await page.waitForURL(`**/apps/${id}/versions`)
})

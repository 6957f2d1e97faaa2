import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHROMIUM } from './harness/chromium.ts'
import { ROOT, startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { callApp } from './harness/user.ts'

const SHOTS = join(ROOT, '.fp/screenshots')
const app = (word: string): string =>
  `from fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get("/")\ndef read():\n    return "${word}"\n`
const FILES = {
  'src/main.py': `from words import WORD\n${app('found').replace('"found"', 'WORD')}`,
  'src/words.py': 'WORD = "found"\n',
  'other/service.py': app('set'),
}

let platform: PlatformUnderTest
let browser: Browser
beforeAll(async () => {
  await mkdir(SHOTS, { recursive: true })
  platform = await startPlatform()
  browser = await chromium.launch(CHROMIUM)
})
afterAll(async () => {
  await browser?.close()
  await platform?.[Symbol.asyncDispose]()
})

async function makeApp(page: Page): Promise<string> {
  await page.goto(`${platform.url}/signup`)
  await page.getByTestId('signup-username').fill('ann')
  await page.getByTestId('signup-email').fill('ann@example.com')
  await page.getByTestId('signup-password').fill('correct horse battery')
  await page.getByTestId('signup-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/signup'))
  return page.evaluate(async (files) => {
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify({ name: 'layouts', files })
    const answer = await fetch('/api/apps', { method: 'POST', headers, body })
    return ((await answer.json()) as { app_id: string }).app_id
  }, FILES)
}

test('the settings show what is served and why, and the owner chooses another one', async () => {
  const page = await browser.newPage({ viewport: { width: 1440, height: 1000 } })
  const appId = await makeApp(page)
  await page.goto(`${platform.url}/apps/${appId}/settings`)
  const served = page.getByTestId('entrypoint-served')
  await served.getByText('src/main:app', { exact: true }).waitFor()
  expect(await served.innerText()).toContain('uvicorn main:app --app-dir src')
  expect(await served.innerText()).toContain(
    'Found apps in src/main.py and other/service.py; src/main.py is served',
  )
  await page.screenshot({ path: join(SHOTS, 'entrypoint-found.png') })

  const field = page.getByTestId('settings-entrypoint')
  await field.fill('../service')
  await page.getByTestId('settings-entrypoint-error').waitFor()
  expect(await page.getByTestId('settings-entrypoint-save').isDisabled()).toBe(true)
  await page.screenshot({ path: join(SHOTS, 'entrypoint-wrong.png') })
  await field.fill('other/service.py')
  await page.getByTestId('settings-entrypoint-save').click()
  await served.getByText('other.service:app', { exact: true }).waitFor()
  await page.screenshot({ path: join(SHOTS, 'entrypoint-set.png') })

  await page.getByTestId('deploy-button').click()
  await expect.poll(async () => (await callApp(platform, appId, '/')).text, { timeout: 30_000 }).toBe('"set"')
  await page.goto(`${platform.url}/apps/${appId}`)
  await page.getByTestId('file-other').waitFor()
  await page.screenshot({ path: join(SHOTS, 'entrypoint-editor.png') })
  await page.goto(`${platform.url}/apps/${appId}/versions`)
  await page.getByTestId('version-row').getByText('other.service:app').waitFor()
  await page.screenshot({ path: join(SHOTS, 'entrypoint-versions.png') })
})

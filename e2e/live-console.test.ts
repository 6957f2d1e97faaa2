import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHROMIUM } from './harness/chromium.ts'
import { startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { HELLO, TestUser } from './harness/user.ts'

let platform: PlatformUnderTest
let user: TestUser
let browser: Browser
let page: Page
/** `GET /api/…` of the page, in order. */
let asked: string[]

beforeAll(async () => {
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'ada')
  browser = await chromium.launch(CHROMIUM)
  page = await browser.newPage()
  await page.goto(`${platform.url}/login`)
  await page.getByTestId('login-username').fill(user.username)
  await page.getByTestId('login-password').fill('correct horse battery')
  await page.getByTestId('login-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/login'))
  asked = []
  page.on('request', (request) => {
    const { pathname } = new URL(request.url())
    if (pathname.startsWith('/api/')) asked.push(`${request.method()} ${pathname}`)
  })
})
afterAll(async () => {
  await browser?.close()
  await platform?.[Symbol.asyncDispose]()
})

const row = (name: string) => page.getByRole('listitem').filter({ hasText: name })

test('the list shows what other clients do, without asking again', async () => {
  await user.createApp({ code: HELLO }, 'first')
  await page.goto(platform.url)
  await row('first').waitFor()
  await expect.poll(() => asked).toContain('GET /api/events')
  // The stream's first event makes the page load the list again.
  await expect.poll(() => asked.filter((one) => one === 'GET /api/apps').length).toBeGreaterThan(1)
  asked.length = 0
  const { app_id: id } = await user.createApp({ code: HELLO }, 'second')
  await row('second').waitFor()
  await user.deploy(id)
  await row('second').getByText('Running').waitFor()
  await user.sleep(id)
  await row('second').getByText('Sleeping').waitFor()
  await user.call(id, '/')
  await row('second').getByText('Running').waitFor()
  await user.client.apps.remove(id)
  await row('second').waitFor({ state: 'detached' })
  expect(asked).toEqual([])
})

test('an open editor shows a draft that another client has saved', async () => {
  const { app_id: id } = await user.createApp({ code: HELLO }, 'open')
  await page.goto(`${platform.url}/apps/${id}`)
  await page.locator('.view-lines').getByText('FastAPI').first().waitFor()
  await expect.poll(() => asked).toContain('GET /api/events')
  await user.client.apps.saveDraft(id, { files: { 'app.py': '# another client\n' } })
  await page.locator('.view-lines').getByText('another client').waitFor()
})

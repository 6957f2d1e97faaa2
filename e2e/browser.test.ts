import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHROMIUM } from './harness/chromium.ts'
import { ROOT, startPlatform, type PlatformUnderTest } from './harness/platform.ts'

const SHOTS = join(ROOT, '.fp/screenshots')

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

/** A page that fails the test when one of its scripts throws, or the CSP blocks something of the console. */
async function openPage(): Promise<{ page: Page; problems: string[] }> {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  const problems: string[] = []
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy|Uncaught/.test(message.text()))
      problems.push(message.text())
  })
  return { page, problems }
}

async function signUp(page: Page, username: string): Promise<void> {
  await page.goto(`${platform.url}/signup`)
  await fillSignUp(page, username)
}

async function fillSignUp(page: Page, username: string): Promise<void> {
  await page.getByTestId('signup-username').fill(username)
  await page.getByTestId('signup-email').fill(`${username}@example.com`)
  await page.getByTestId('signup-password').fill('correct horse battery')
  await page.getByTestId('signup-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/signup'))
}

/** Replaces the text in the editor like a person. */
async function type(page: Page, code: string): Promise<void> {
  await page.getByTestId('editor').locator('.view-lines').first().click()
  await page.keyboard.press('Control+A')
  // Inserted at once, so that the editor's own indenting does not interfere.
  await page.keyboard.insertText(code)
}

test('a new installation asks for its first account, the administrator’s, and says so once', async () => {
  await using fresh = await startPlatform()
  const { page, problems } = await openPage()
  await page.goto(fresh.url)
  await page.getByRole('heading', { name: 'Create the administrator’s account' }).waitFor()
  expect(new URL(page.url()).pathname).toBe('/signup')
  await page.screenshot({ path: join(SHOTS, 'first-account.png') })
  await fillSignUp(page, 'root')
  await page.getByText('Your account is the administrator’s').waitFor()
  await page.screenshot({ path: join(SHOTS, 'first-account-made.png') })
  await page.context().clearCookies()
  await page.goto(fresh.url)
  await page.getByRole('heading', { name: 'Log in' }).waitFor()
  await page.getByTestId('to-signup').click()
  await page.getByRole('heading', { name: 'Create your account' }).waitFor()
  expect(problems).toEqual([])
  await page.close()
})

const CODE = `from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "browser"}
`

test('sign-up, deploy and the app’s own answer, with the time to the first request', async () => {
  const { page, problems } = await openPage()
  const began = performance.now()
  await signUp(page, 'grace')
  await page.getByTestId('template-hello-api').first().click()
  await page.waitForURL(/\/apps\/[0-9a-z]+/)
  await page.getByTestId('editor').locator('.view-lines').waitFor()
  await page.getByTestId('deploy-button').click()
  await page
    .locator(
      '[data-testid="deploy-outcome"][data-outcome="ready"], [data-testid="status-pill"][data-status="running"]',
    )
    .first()
    .waitFor()
  const url = await page.getByTestId('app-url').first().textContent()
  expect(url).toMatch(/^(http:\/\/)?app-[0-9a-z]+\.localhost:\d+/)
  const visit = await browser.newPage()
  const answer = await visit.goto(url!.startsWith('http') ? url! : `http://${url!}`)
  expect(answer?.status()).toBe(200)
  console.log(
    `time to first request: ${((performance.now() - began) / 1000).toFixed(1)} s from the sign-up page to the app's answer`,
  )
  await page.screenshot({ path: join(SHOTS, 'editor.png') })
  await visit.close()
  expect(problems).toEqual([])
  await page.close()
})

test('edit, see an error on its line, fix it, deploy by keyboard, sleep and wake', async () => {
  const { page, problems } = await openPage()
  await signUp(page, 'hopper')
  await page.getByTestId('template-hello-api').first().click()
  await page.waitForURL(/\/apps\/[0-9a-z]+/)
  await type(page, `${CODE}\n\ndef broken(:\n    pass\n`)
  await page.getByTestId('problem-item').first().waitFor()
  await page.keyboard.press('Control+Enter')
  await page
    .locator('[data-testid="problem-item"]', { hasText: /app\.py|11/ })
    .first()
    .waitFor()
  await page.screenshot({ path: join(SHOTS, 'problem.png') })

  await type(page, CODE)
  await page.keyboard.press('Control+Enter')
  await page.locator('[data-testid="status-pill"][data-status="running"]').first().waitFor()

  await page.getByTestId('tab-settings').click()
  await page.getByTestId('sleep-now').click()
  await page.locator('[data-testid="status-pill"][data-status="sleeping"]').first().waitFor()
  await page.screenshot({ path: join(SHOTS, 'sleeping.png') })

  const url = (await page.getByTestId('app-url').first().textContent())!
  const visit = await browser.newPage()
  await visit.goto(url.startsWith('http') ? url : `http://${url}`)
  // At once, or after the loading page if the machine is slow.
  await visit.getByText('{"hello":"browser"}').waitFor()
  await visit.close()
  expect(problems).toEqual([])
  await page.close()
})

test('a failing app shows its traceback to its owner, and the old version keeps serving', async () => {
  const { page } = await openPage()
  await signUp(page, 'lovelace')
  await page.getByTestId('template-hello-api').first().click()
  await page.waitForURL(/\/apps\/[0-9a-z]+/)
  await type(page, `settings: dict[str, str] = {}\nprint(settings["missing"])\n${CODE}`)
  await page.keyboard.press('Control+Enter')
  const card = page.getByTestId('failure-card').first()
  await card.waitFor()
  expect(await card.textContent()).toMatch(/KeyError: 'missing'/)
  await page.screenshot({ path: join(SHOTS, 'failure.png') })
  await page.close()
})

test('the loading page replaces itself with the app', async () => {
  const { page, problems } = await openPage()
  await signUp(page, 'sleepy')
  await page.getByTestId('template-hello-api').first().click()
  await page.waitForURL(/\/apps\/[0-9a-z]+/)
  await type(page, `import time\n\ntime.sleep(4)\n${CODE}`)
  await page.keyboard.press('Control+Enter')
  await page.locator('[data-testid="status-pill"][data-status="running"]').first().waitFor()
  await page.getByTestId('tab-settings').click()
  await page.getByTestId('sleep-now').click()
  await page.locator('[data-testid="status-pill"][data-status="sleeping"]').first().waitFor()
  const url = (await page.getByTestId('app-url').first().textContent())!
  const waking = page.getByText('Waking up').first().waitFor()
  await page.goto(url.startsWith('http') ? url : `http://${url}`)
  await waking
  await page.screenshot({ path: join(SHOTS, 'waking.png') })
  await page.getByText('browser').waitFor()
  expect(problems).toEqual([])
  await page.close()
})

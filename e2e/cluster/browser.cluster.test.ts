import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHROMIUM } from '../harness/chromium.ts'
import { ROOT } from '../harness/platform.ts'
import { useInstallation } from './world.ts'

const world = useInstallation()
const SHOTS = join(ROOT, '.fp/screenshots')

let browser: Browser
beforeAll(async () => {
  await mkdir(SHOTS, { recursive: true })
  // The host names of the overlay, as DNS would resolve them.
  const { address } = world.fp
  browser = await chromium.launch({
    ...CHROMIUM,
    args: [...CHROMIUM.args, `--host-resolver-rules=MAP fp.test ${address}, MAP *.fp.test ${address}`],
  })
})
afterAll(async () => browser?.close())

test('sign-up, deploy and a visit to the app, which wakes it', async () => {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  const began = performance.now()
  await page.goto(`http://fp.test:${world.fp.port}/signup`)
  const name = `ada${Date.now().toString(36)}`
  await page.getByTestId('signup-username').fill(name)
  await page.getByTestId('signup-email').fill(`${name}@example.com`)
  await page.getByTestId('signup-password').fill('correct horse battery')
  await page.getByTestId('signup-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/signup'))
  await page.getByTestId('template-hello-api').first().click()
  await page.waitForURL(/\/apps\/[0-9a-z]+/)
  const appId = /\/apps\/([0-9a-z]+)/.exec(page.url())![1]!
  await page.getByTestId('editor').locator('.view-lines').waitFor()
  await page.getByTestId('deploy-button').click()
  await page.locator('[data-testid="deploy-outcome"][data-outcome="ready"]').first().waitFor()
  const url = await page.getByTestId('app-url').first().textContent()
  expect(url).toContain(`app-${appId}.${world.fp.appDomain}`)
  const visit = await browser.newPage()
  const address = url!.startsWith('http') ? url! : `http://${url!}`
  const answer = await visit.goto(address)
  expect(answer?.status()).toBe(200)
  const text = await answer!.text()
  console.log(
    `time to first request on the cluster: ${((performance.now() - began) / 1000).toFixed(1)} s from the sign-up page to the app's answer`,
  )
  await page.screenshot({ path: join(SHOTS, 'cluster-editor.png') })
  // The console shows it too.
  await world.reallyAsleep(appId)
  await page.locator('[data-testid="status-pill"][data-status="sleeping"]').first().waitFor()
  await visit.goto(address)
  // At once, or after the loading page if the machine is slow.
  await visit.getByText(text).waitFor()
  await page.locator('[data-testid="status-pill"][data-status="running"]').first().waitFor()
})

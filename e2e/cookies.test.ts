import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHROMIUM } from './harness/chromium.ts'
import { freePort, startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

/** An app that sets cookies for the whole domain that it shares with the console. */
const HOSTILE = `from fastapi import FastAPI, Response

app = FastAPI()


@app.get("/toss")
def toss(token: str, path: str) -> Response:
    cookie = f"fp_session={token}; Domain=fp.test; Path={path}; HttpOnly"
    return Response("tossed", headers={"set-cookie": cookie})


@app.get("/bomb")
def bomb(count: int, path: str) -> Response:
    cookie = f"'bomb' + n + '=' + 'x'.repeat(4000) + '; Domain=fp.test; Path={path}'"
    # A request for this host's icon would make the browser delete the cookies before they are counted.
    icon = "<link rel=icon href='data:,'>"
    script = f"{icon}<script>for (let n = 0; n < {count}; n++) document.cookie = {cookie}</script>"
    return Response(script, media_type="text/html")
`

let platform: PlatformUnderTest
let browser: Browser
let home: string
let app: string
let eve: TestUser
beforeAll(async () => {
  const port = await freePort()
  home = `http://console.fp.test:${port}`
  platform = await startPlatform({ port, env: { PUBLIC_URL: home, APP_DOMAIN: `fp.test:${port}` } })
  eve = await TestUser.signUp(platform, 'eve')
  const { app_id: id } = await eve.liveApp({ files: { 'app.py': HOSTILE } })
  app = `http://app-${id}.fp.test:${port}`
  const args = [...CHROMIUM.args, '--host-resolver-rules=MAP *.fp.test 127.0.0.1']
  browser = await chromium.launch({ ...CHROMIUM, args })
})
afterAll(async () => {
  await browser?.close()
  await platform?.[Symbol.asyncDispose]()
})

async function signUp(context: BrowserContext, username: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(`${home}/signup`)
  await page.getByTestId('signup-username').fill(username)
  await page.getByTestId('signup-email').fill(`${username}@example.com`)
  await page.getByTestId('signup-password').fill('correct horse battery')
  await page.getByTestId('signup-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/signup'))
  return page
}

/** The user that a newly opened console shows; undefined: nobody is logged in. */
async function opened(page: Page): Promise<string | undefined> {
  const asked = page.waitForResponse(
    (response) => response.url().endsWith('/api/auth/me') && response.status() !== 431,
  )
  await page.goto(home)
  const answer = await asked
  if (answer.status() === 401) return undefined
  return ((await answer.json()) as { username: string }).username
}

/** Visits the app, and returns those of its cookies that the browser would now send to the console. */
async function visit(context: BrowserContext, ...paths: string[]): Promise<string[]> {
  const page = await context.newPage()
  for (const path of paths) await page.goto(app + path)
  // Cookies set by the page's script reach the browser's process only when the page reads them.
  await page.evaluate('document.cookie')
  await page.close()
  return (await context.cookies(`${home}/api/auth/me`)).map(({ name, value }) => `${name}=${value}`)
}

const toss = (path: string): string => `/toss?token=${eve.token}&path=${path}`

test('the platform warns at start that apps can set cookies for the console', () => {
  expect(platform.output()).toContain('share fp.test, and there is no TLS')
})

describe('a session cookie that an app sets for the console', () => {
  test('neither logs the user out nor logs the user in as somebody else', async () => {
    const context = await browser.newContext()
    const page = await signUp(context, 'victim')
    const sent = await visit(context, toss('/'), toss('/api'), toss('/api/auth'))
    // The app's cookies are there, and come before the user's own.
    expect(sent.filter((cookie) => cookie === `fp_session=${eve.token}`)).toHaveLength(3)
    expect(await opened(page)).toBe('victim')
    await context.close()
  })

  test('logs nobody in', async () => {
    const context = await browser.newContext()
    await visit(context, toss('/'), toss('/api'))
    const page = await context.newPage()
    expect(await opened(page)).toBeUndefined()
    await page.waitForURL(/\/login/)
    await context.close()
  })

  test('has no effect after a log-in: the session is the user’s own', async () => {
    const context = await browser.newContext()
    await visit(context, toss('/'), toss('/api'))
    const page = await signUp(context, 'careful')
    expect(await opened(page)).toBe('careful')
    await context.close()
  })
})

describe('a cookie bomb of an app', () => {
  test.each([
    ['for every page', '/', 120],
    ['just over the limit', '/', 17],
    ['for the API alone', '/api', 60],
    ['for one route of the API', '/api/auth/me', 36],
  ])('%s does not lock the user out of the console, nor log the user out', async (_name, path, count) => {
    const context = await browser.newContext()
    // A retried test finds the user of the first attempt.
    const user = `bombed-${randomUUID().slice(0, 8)}`
    // An open console polls the API, which would delete the cookies before they are counted.
    await (await signUp(context, user)).close()
    const sent = await visit(context, `/bomb?count=${count}&path=${path}`)
    expect(sent.filter((cookie) => cookie.startsWith('bomb'))).toHaveLength(count)
    expect(await opened(await context.newPage())).toBe(user)
    await context.close()
  })
})

test('browsers refuse cookies for all of localhost, the default host of the console', async () => {
  const server = createServer((request, response) => {
    if (request.headers.host?.startsWith('app-'))
      response.setHeader('set-cookie', ['fp_session=tossed; Domain=localhost; Path=/', 'own=1'])
    response.end(request.headers.cookie ?? 'none')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`http://app-a.localhost:${port}/`)
  await page.goto(`http://app-a.localhost:${port}/`)
  expect(await page.textContent('body')).toBe('own=1')
  await page.goto(`http://localhost:${port}/`)
  expect(await page.textContent('body')).toBe('none')
  await context.close()
  server.close()
})

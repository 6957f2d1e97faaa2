import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CHROMIUM } from './harness/chromium.ts'
import { ROOT, startPlatform, type PlatformUnderTest } from './harness/platform.ts'
import { TestUser } from './harness/user.ts'

let platform: PlatformUnderTest
let user: TestUser

beforeAll(async () => {
  platform = await startPlatform()
  user = await TestUser.signUp(platform, 'keeper')
})
afterAll(async () => platform[Symbol.asyncDispose]())

const APP = `import errno, os, sqlite3
from fastapi import FastAPI

app = FastAPI()
folder = os.environ["PLATFORM_DATA_DIR"]
db = sqlite3.connect(f"{folder}/visits.db", check_same_thread=False)
db.execute("create table if not exists visits (n integer)")


@app.get("/visit")
def visit():
    with db:
        db.execute("insert into visits values (1)")
    return db.execute("select count(*) from visits").fetchone()[0]


@app.get("/folder")
def look():
    return sorted(os.listdir(folder))


@app.get("/fill")
def fill():
    written = 0
    try:
        with open(f"{folder}/full", "wb", buffering=0) as file:
            while True:
                written += file.write(bytes(1024 * 1024))
    except OSError as error:
        os.unlink(f"{folder}/full")
        return {"written": written, "error": errno.errorcode[error.errno]}
`

const storage = (id: string, on: boolean) => user.client.apps.patch(id, { storage: on })
const answer = async (id: string, path: string): Promise<unknown> => {
  const { status, text } = await user.call(id, path)
  expect(status, text).toBe(200)
  return JSON.parse(text)
}

// A file system in a file needs root. Without root the platform reports it, which the module's tests check.
test.runIf(process.getuid?.() === 0)(
  'files of an app with storage outlive sleeps, deploys and rollbacks',
  async () => {
    const { app_id: id } = await user.createApp({ files: { 'app.py': APP } })
    const failed = await user.deploy(id)
    expect(failed).toMatchObject({
      stage: 'failed',
      failure: { message: expect.stringContaining('PLATFORM_DATA_DIR') },
    })
    await storage(id, true)
    expect((await user.deploy(id)).stage).toBe('ready')
    expect(await answer(id, '/visit')).toBe(1)
    // It contains only what the app has written.
    expect(await answer(id, '/folder')).toEqual(['visits.db'])
    await user.sleep(id)
    expect(await answer(id, '/visit')).toBe(2)
    expect((await user.deploy(id, { 'app.py': `${APP}\n# another version\n` })).stage).toBe('ready')
    expect(await answer(id, '/visit')).toBe(3)
    const { deployment_id } = await user.client.apps.rollback(id, 2)
    expect((await user.finished(id, deployment_id)).stage).toBe('ready')
    expect(await answer(id, '/visit')).toBe(4)
  },
)

test.runIf(process.getuid?.() === 0)(
  'an app cannot keep more than its storage holds, and takes no room of another',
  async () => {
    const [full, other] = [
      await user.createApp({ files: { 'app.py': APP } }),
      await user.createApp({ files: { 'app.py': APP } }),
    ]
    for (const { app_id: id } of [full, other]) {
      await storage(id, true)
      expect((await user.deploy(id)).stage).toBe('ready')
    }
    const { written, error } = (await answer(full.app_id, '/fill')) as { written: number; error: string }
    expect(['ENOSPC', 'EFBIG']).toContain(error)
    expect(written).toBeGreaterThanOrEqual(95 * 1024 * 1024)
    expect(written).toBeLessThanOrEqual(112 * 1024 * 1024)
    // The app still works, and the other one was not affected.
    expect(await answer(full.app_id, '/visit')).toBe(1)
    expect(await answer(other.app_id, '/visit')).toBe(1)
  },
)

test.runIf(process.getuid?.() === 0)(
  'storage that is turned off and on again has its files; a deleted app leaves none',
  async () => {
    const { app_id: id } = await user.createApp({ files: { 'app.py': APP } })
    await storage(id, true)
    expect((await user.deploy(id)).stage).toBe('ready')
    expect(await answer(id, '/visit')).toBe(1)
    await storage(id, false)
    expect((await user.call(id, '/visit')).status).toBe(502)
    await storage(id, true)
    expect(await answer(id, '/visit')).toBe(2)
    const images = async (): Promise<string[]> =>
      (await readdir(join(platform.dataDir, 'storage'))).filter((name) => name.startsWith(id))
    expect(await images()).toEqual([`${id}.img`])
    await user.client.apps.remove(id)
    await expect.poll(images).toEqual([])
  },
)

test('storage is turned on and off in the settings', async () => {
  await using stack = new AsyncDisposableStack()
  const browser = await chromium.launch(CHROMIUM)
  stack.defer(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } })
  const { app_id: id } = await user.createApp({ template_id: 'hello-api' })
  await page.goto(`${platform.url}/login`)
  await page.getByTestId('login-username').fill(user.username)
  await page.getByTestId('login-password').fill('correct horse battery')
  await page.getByTestId('login-submit').click()
  await page.waitForURL((url) => !url.pathname.startsWith('/login'))
  await page.goto(`${platform.url}/apps/${id}/settings`)
  await page.getByTestId('storage-on').click()
  await page.getByText('PLATFORM_DATA_DIR').waitFor()
  await mkdir(join(ROOT, '.fp/screenshots'), { recursive: true })
  await page.screenshot({ path: join(ROOT, '.fp/screenshots/storage-light.png') })
  await page.emulateMedia({ colorScheme: 'dark' })
  await page.screenshot({ path: join(ROOT, '.fp/screenshots/storage-dark.png') })
  await page.getByTestId('storage-off').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Turn off' }).click()
  await page.getByTestId('storage-on').waitFor()
})

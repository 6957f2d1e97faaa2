import type { AppDetail } from '@fp/sdk/wire'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { startApi, type TestApi } from '../../../test/api.ts'
import { openPage } from '../../../test/page.ts'
import { toasts } from './toasts.svelte.ts'
import { Workspace } from './workspace.svelte.ts'

const APP = 'GET /api/apps/a'
const NEWEST = 'GET /api/apps/a/deployments?limit=1'

let api: TestApi
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  localStorage.clear()
  openPage()
  api = await startApi()
})
afterEach(() => {
  for (const { id } of toasts.items) toasts.close(id)
  vi.useRealTimers()
})

function detail(files: Record<string, string>, more: Partial<AppDetail> = {}): AppDetail {
  const draft = { files, revision: 1, assets: [], updated_at: '2026-01-01T00:00:00.000Z' }
  return { app_id: 'a', status: 'sleeping', draft, ...more } as unknown as AppDetail
}

/** An app that was never deployed. */
async function open(files: Record<string, string> = { 'app.py': 'x = 1\n' }): Promise<Workspace> {
  const workspace = new Workspace(detail(files))
  onTestFinished(() => workspace.close())
  const newest = await api.next(NEWEST)
  newest.answer({ items: [] })
  return workspace
}

test.each([
  [['lib/x.py', 'main.py'], 'main.py'],
  [['lib/x.py', 'README.md'], 'lib/x.py'],
  [['README.md'], 'README.md'],
  [[], ''],
])('of %j it opens %s first', async (paths, first) => {
  expect((await open(Object.fromEntries(paths.map((path) => [path, ''])))).openPath).toBe(first)
})

test('goes to the same place repeatedly, but not to a deleted file', async () => {
  const workspace = await open({ 'app.py': '', 'b.py': '' })
  workspace.goTo('b.py', 3, 2)
  workspace.goTo('b.py', 3, 2)
  workspace.goTo('gone.py')
  expect(workspace.place).toEqual({ file: 'b.py', line: 3, column: 2, visit: 2 })
  expect(workspace.openPath).toBe('b.py')
})

test('requests the app every second while it wakes, otherwise every five', async () => {
  const workspace = await open()
  vi.advanceTimersByTime(5_000)
  const first = await api.next(APP)
  first.answer(detail({ 'app.py': 'x = 2\n' }, { status: 'waking' }))
  await vi.waitFor(() => expect(workspace.status).toBe('waking'), { interval: 1 })
  vi.advanceTimersByTime(1_000)
  const second = await api.next(APP)
  second.answer(detail({}))
})

test('deploys the saved draft, and marks the line that raised an exception', async () => {
  const workspace = await open()
  workspace.draft.edit('app.py', 'x = 1\n  y = x[0]\n')
  const deployed = workspace.deploy()
  const save = await api.next('PUT /api/apps/a/draft')
  save.answer({ revision: 2 })
  const deploy = await api.next('POST /api/apps/a/deploy')
  expect(workspace.status).toBe('deploying')
  deploy.answer({ deployment_id: 'd', version: 1, warnings: [] }, 202)
  const { response } = await api.next('GET /api/apps/a/deployments/d/events')
  const failure = { code: 'FP_APP_IMPORT_FAILED', message: 'It raised.', file: 'app.py', line: 2 }
  const event = { stage: 'failed', at: '2026-01-01T00:00:00.000Z', failure }
  response.end(`data: ${JSON.stringify(event)}\n\n`)
  const refresh = await api.next(APP)
  refresh.answer(detail({ 'app.py': 'x = 1\n  y = x[0]\n' }))
  await deployed
  expect(workspace.problems.items).toEqual([
    {
      file: 'app.py',
      line: 2,
      column: 3,
      end_line: 2,
      end_column: 11,
      rule: 'FP_APP_IMPORT_FAILED',
      message: 'It raised.',
      severity: 'error',
    },
  ])
  expect(workspace.deploying).toBe(false)
})

test('shows why a deploy was refused', async () => {
  const workspace = await open()
  const deployed = workspace.deploy()
  const deploy = await api.next('POST /api/apps/a/deploy')
  deploy.refuse(429, 'FP_DEPLOY_LIMIT')
  const refresh = await api.next(APP)
  refresh.answer(detail({ 'app.py': 'x = 1\n' }))
  await deployed
  expect(toasts.items.map(({ text }) => text)).toEqual(['Not deployed. FP_DEPLOY_LIMIT happened.'])
})

test('adds texts to the draft, pictures as assets, and no .env file', async () => {
  const workspace = await open()
  const added = workspace.addFiles(
    new Map([
      ['models.py', new Blob(['class A: pass'])],
      ['logo.png', new Blob([new Uint8Array([137, 80, 78, 71])])],
      ['.env', new Blob(['KEY=secret'])],
    ]),
    '',
  )
  const upload = await api.next('POST /api/apps/a/assets')
  expect(String(upload.body)).not.toContain('secret')
  const asset = { path: 'logo.png', bytes: 4, type: 'image/png', sha256: 'x' }
  upload.answer({ assets: [asset], saved: ['logo.png'], refused: [] })
  const refresh = await api.next(APP)
  refresh.answer(detail({ 'app.py': 'x = 1\n' }))
  await added
  expect(workspace.paths).toEqual(['app.py', 'logo.png', 'models.py'])
  expect([workspace.openPath, workspace.assets.uploading]).toEqual(['logo.png', 0])
  expect(toasts.items[0]?.text).toMatch(/^The .env file was not uploaded/)
})

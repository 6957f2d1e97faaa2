import type { PlatformEvent } from '@fp/sdk/client'
import type { App, AppDetail } from '@fp/sdk/wire'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { startApi, type TestApi } from '../../../test/api.ts'
import { openPage } from '../../../test/page.ts'
import { live } from './live.svelte.ts'
import { toasts } from './toasts.svelte.ts'
import { Workspace } from './workspace.svelte.ts'

const APP = 'GET /api/apps/a'
const NEWEST = 'GET /api/apps/a/deployments?limit=1'

let api: TestApi
let tell: (event: PlatformEvent) => void
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  localStorage.clear()
  openPage()
  api = await startApi()
  vi.spyOn(live, 'on').mockImplementation((listener) => {
    tell = listener
    return () => undefined
  })
})
afterEach(() => {
  vi.restoreAllMocks()
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

describe('what the platform tells', () => {
  const app = (more: Partial<App>): { name: 'app'; app: App } => {
    const { draft: _, ...rest } = detail({})
    return { name: 'app', app: { ...rest, draft_revision: 1, ...more } as unknown as App }
  }

  test('is shown without a request, if the event has all of it', async () => {
    const workspace = await open()
    tell(app({ status: 'waking', name: 'another name' }))
    expect([workspace.status, workspace.app.name]).toEqual(['waking', 'another name'])
    tell(app({ app_id: 'another', status: 'error' }))
    expect(workspace.status).toBe('waking')
    expect(api.waiting).toBe(0)
  })

  test.each([
    { what: 'a newer draft', more: { draft_revision: 2 } },
    { what: 'other variables', more: { env_revision: 1 } },
    { what: 'other assets', more: { assets_revision: 1 } },
  ])('loads $what', async ({ more }) => {
    const workspace = await open()
    tell(app(more))
    const asked = await api.next(APP)
    asked.answer(detail({ 'app.py': 'x = 2\n' }))
    await vi.waitFor(() => expect(workspace.app.draft.files).toEqual({ 'app.py': 'x = 2\n' }), {
      interval: 1,
    })
  })

  test('does not load the draft while it is being edited: the next save shows who else has saved', async () => {
    const workspace = await open()
    workspace.draft.edit('app.py', 'x = 3\n')
    tell(app({ draft_revision: 2 }))
    expect(api.waiting).toBe(0)
    expect(workspace.draft.files['app.py']).toBe('x = 3\n')
  })

  test('counts more than an answer that was asked for before', async () => {
    const workspace = await open()
    tell({ name: 'reset' })
    const asked = await api.next(APP)
    tell(app({ status: 'error' }))
    asked.answer(detail({ 'app.py': 'x = 2\n' }, { status: 'running' }))
    await vi.waitFor(() => expect(workspace.app.draft.files).toEqual({ 'app.py': 'x = 2\n' }), {
      interval: 1,
    })
    expect(workspace.status).toBe('error')
  })

  test('loads everything when events may have been missed', async () => {
    await open()
    tell({ name: 'reset' })
    const asked = await api.next(APP)
    asked.answer(detail({}))
  })
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

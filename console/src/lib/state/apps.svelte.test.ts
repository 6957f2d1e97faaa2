import type { App } from '@fp/sdk/wire'
import { beforeEach, expect, test, vi } from 'vitest'
import { startApi, type TestApi } from '../../../test/api.ts'
import { openPage } from '../../../test/page.ts'
import { apps } from './apps.svelte.ts'

const LIST = 'GET /api/apps?limit=100'
const app = (id: string, name = id): App => ({ app_id: id, name }) as App
const names = (): string[] | undefined => apps.items?.map(({ name }) => name)

let api: TestApi
beforeEach(async () => {
  openPage()
  api = await startApi()
  apps.forget()
})

async function loaded(...items: App[]): Promise<void> {
  const load = apps.load()
  const asked = await api.next(LIST)
  asked.answer({ items, next_cursor: null })
  await load
}

test('a new app comes first, a changed one keeps its place, a deleted one goes', async () => {
  await loaded(app('b'), app('a'))
  apps.hear({ name: 'app', app: app('c') })
  apps.hear({ name: 'app', app: app('a', 'changed') })
  expect(names()).toEqual(['c', 'b', 'changed'])
  apps.hear({ name: 'app.deleted', appId: 'b' })
  expect(names()).toEqual(['c', 'changed'])
})

test('what is told while the list is loaded counts more than the answer', async () => {
  await loaded(app('b'), app('a'))
  apps.hear({ name: 'reset' })
  const asked = await api.next(LIST)
  apps.hear({ name: 'app', app: app('a', 'changed') })
  apps.hear({ name: 'app.deleted', appId: 'b' })
  asked.answer({ items: [app('b'), app('a'), app('z')], next_cursor: null })
  await vi.waitFor(() => expect(names()).toContain('z'))
  expect(names()).toEqual(['changed', 'z'])
})

test('what is told before the first answer is not shown as the whole list', async () => {
  apps.hear({ name: 'app', app: app('a') })
  expect(apps.items).toBeUndefined()
})

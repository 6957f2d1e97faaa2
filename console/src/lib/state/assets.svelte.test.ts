import { ASSET_LIMITS, type Asset } from '@fp/sdk/wire'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { startApi, type TestApi } from '../../../test/api.ts'
import { AssetsState } from './assets.svelte.ts'
import { toasts } from './toasts.svelte.ts'

const ASSETS = '/api/apps/a/assets'

let api: TestApi
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  api = await startApi()
})
afterEach(() => {
  for (const { id } of toasts.items) toasts.close(id)
  vi.useRealTimers()
})

const asset = (path: string, bytes = 10): Asset => ({ path, bytes, type: 'image/png', sha256: `of ${path}` })
const told = (): string[] => toasts.items.map(({ text }) => text)

test('uploads in requests within the limit, and shows what each left', async () => {
  const half = new Blob([new Uint8Array(ASSET_LIMITS.maxUploadBytes / 2)])
  const assets = new AssetsState('a', [])
  const uploaded = assets.upload(new Map(['a.png', 'b.png'].map((path) => [path, half])))
  const first = await api.next(`POST ${ASSETS}`)
  first.answer({ assets: [asset('a.png')], saved: ['a.png'], refused: [] })
  const second = await api.next(`POST ${ASSETS}`)
  expect(assets.paths).toEqual(['a.png'])
  second.answer({ assets: [asset('a.png'), asset('b.png', 5)], saved: ['b.png'], refused: [] })
  expect(await uploaded).toEqual(['a.png', 'b.png'])
  expect([assets.paths, assets.bytes]).toEqual([['a.png', 'b.png'], 15])
})

test('names all refused files in one toast', async () => {
  const assets = new AssetsState('a', [])
  const uploaded = assets.upload(new Map([['a.png', new Blob(['x'])]]))
  const asked = await api.next(`POST ${ASSETS}`)
  const refused = [1, 2, 3, 4, 5].map((n) => ({ path: `${n}`, code: 'FP_FILE_PATH', message: `No ${n}.` }))
  asked.answer({ assets: [], saved: [], refused })
  expect(await uploaded).toEqual([])
  expect(told()).toEqual(['No 1. No 2. No 3. 2 more were refused.'])
})

test('a refused change shows an error and changes nothing', async () => {
  const assets = new AssetsState('a', [asset('a.png')])
  expect(await assets.change({})).toBe(true)
  const changed = assets.change({ 'a.png': 'b/..' })
  const asked = await api.next(`PATCH ${ASSETS}`)
  asked.refuse(422, 'FP_FILE_PATH')
  expect(await changed).toBe(false)
  expect([assets.paths, told()]).toEqual([['a.png'], ['The assets were not changed. FP_FILE_PATH happened.']])
})

test('the answer to a request from before a change does not undo the change', async () => {
  const assets = new AssetsState('a', [asset('a.png')])
  const { changes } = assets
  const changed = assets.change({ 'a.png': null })
  const asked = await api.next(`PATCH ${ASSETS}`)
  asked.answer({ assets: [] })
  expect(await changed).toBe(true)
  assets.offer([asset('a.png')], changes)
  expect(assets.paths).toEqual([])
  assets.offer([asset('c.png')], assets.changes)
  expect(assets.paths).toEqual(['c.png'])
})

test('another content has another URL', () => {
  const assets = new AssetsState('a', [])
  expect(assets.url(asset('static/my logo.png'))).toBe(
    `${ASSETS}/static/my%20logo.png?sha256=of static/my logo.png`,
  )
})

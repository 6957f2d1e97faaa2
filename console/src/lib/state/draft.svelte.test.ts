import type { Draft } from '@fp/sdk/wire'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { startApi, type Asked, type TestApi } from '../../../test/api.ts'
import { findCopy, keepCopy } from '../editor/local-copy.ts'
import { DraftState } from './draft.svelte.ts'

const SAVE = 'PUT /api/apps/a/draft'
const READ = 'GET /api/apps/a'

let api: TestApi
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] })
  localStorage.clear()
  api = await startApi()
})
afterEach(() => void vi.useRealTimers())

const draftOf = (files: Record<string, string>, revision = 1): Draft => ({
  files,
  revision,
  assets: [],
  updated_at: '2026-01-01T00:00:00.000Z',
})

function open(files: Record<string, string> = { 'app.py': 'one' }): DraftState {
  const draft = new DraftState('a', draftOf(files))
  onTestFinished(() => draft.close())
  return draft
}

/** Answers a save as the platform does. */
function save(asked: Asked): void {
  const { files, revision } = asked.body as { files: Record<string, string>; revision: number }
  asked.answer(draftOf(files, revision + 1))
}

const kept = (): Record<string, string> | undefined => findCopy(localStorage, 'a', {})?.files

test('saves by itself when nothing was typed for a while', async () => {
  const draft = open()
  draft.edit('app.py', 'two')
  vi.advanceTimersByTime(899)
  expect([draft.phase, api.waiting]).toEqual(['dirty', 0])
  vi.advanceTimersByTime(1)
  const asked = await api.next(SAVE)
  expect(draft.phase).toBe('saving')
  expect(asked.body).toEqual({ files: { 'app.py': 'two' }, revision: 1 })
  save(asked)
  await draft.flush()
  expect(draft.phase).toBe('saved')
})

test('saves after five seconds though the typing goes on', async () => {
  const draft = open()
  for (let n = 0; n < 10; n++) {
    draft.edit('app.py', `typed ${n}`)
    vi.advanceTimersByTime(500)
  }
  expect((await api.next(SAVE)).body).toMatchObject({ files: { 'app.py': 'typed 9' } })
})

test('what is typed during a save is saved after it, with the new revision', async () => {
  const draft = open()
  draft.edit('app.py', 'two')
  const first = draft.flush()
  const asked = await api.next(SAVE)
  draft.edit('app.py', 'three')
  save(asked)
  await first
  expect(draft.phase).toBe('dirty')
  vi.advanceTimersByTime(900)
  const second = await api.next(SAVE)
  expect(second.body).toEqual({ files: { 'app.py': 'three' }, revision: 2 })
  save(second)
  await draft.flush()
  expect(draft.phase).toBe('saved')
})

test('a failed save is reported, and tried again after five seconds', async () => {
  const draft = open()
  draft.edit('app.py', 'two')
  const flushed = draft.flush()
  const refused = await api.next(SAVE)
  refused.refuse(503, 'FP_UNAVAILABLE')
  await expect(flushed).rejects.toMatchObject({ code: 'FP_UNAVAILABLE' })
  expect([draft.phase, draft.unsaved]).toEqual(['failed', true])
  vi.advanceTimersByTime(5_000)
  save(await api.next(SAVE))
  await draft.flush()
  expect([draft.phase, draft.error]).toEqual(['saved', undefined])
})

test('keeps a copy on this device until the platform has the files', async () => {
  const draft = open()
  draft.edit('app.py', 'two')
  vi.advanceTimersByTime(149)
  expect(kept()).toBeUndefined()
  vi.advanceTimersByTime(1)
  expect(kept()).toEqual({ 'app.py': 'two' })
  const flushed = draft.flush()
  save(await api.next(SAVE))
  await flushed
  expect(kept()).toBeUndefined()
})

test('writes the copy at once when the page goes away', () => {
  const draft = open()
  draft.edit('app.py', 'two')
  draft.keep()
  expect(kept()).toEqual({ 'app.py': 'two' })
})

test('offers the unsaved changes of an earlier visit, and restores them', () => {
  keepCopy(localStorage, 'a', { files: { 'app.py': 'lost' }, revision: 1, at: 5 })
  const draft = open()
  expect(draft.recovered).toMatchObject({ files: { 'app.py': 'lost' }, at: 5 })
  expect(draft.files).toEqual({ 'app.py': 'one' })
  draft.restore()
  expect([draft.files, draft.recovered, draft.replaced, draft.phase]).toEqual([
    { 'app.py': 'lost' },
    undefined,
    1,
    'dirty',
  ])
})

test('drops the unsaved changes of an earlier visit when the person discards them', () => {
  keepCopy(localStorage, 'a', { files: { 'app.py': 'lost' }, revision: 1, at: 5 })
  open().discardRecovered()
  expect(kept()).toBeUndefined()
})

/** A draft of which someone else saved `theirs` meanwhile. */
async function conflict(
  mine: string,
  theirs: string,
): Promise<{ draft: DraftState; flushed: Promise<void> }> {
  const draft = open()
  draft.edit('app.py', mine)
  const flushed = draft.flush()
  flushed.catch(() => undefined)
  const refused = await api.next(SAVE)
  refused.refuse(409, 'FP_DRAFT_CONFLICT')
  const read = await api.next(READ)
  read.answer({ draft: draftOf({ 'app.py': theirs }, 7) })
  await flushed.catch(() => undefined)
  return { draft, flushed }
}

test('asks which version to keep when someone else saved another one', async () => {
  const { draft, flushed } = await conflict('mine', 'theirs')
  await expect(flushed).rejects.toMatchObject({ code: 'FP_DRAFT_CONFLICT' })
  expect([draft.phase, draft.theirs?.revision, draft.files]).toEqual(['conflict', 7, { 'app.py': 'mine' }])
  // Until then nothing overwrites their version, whatever is typed.
  draft.edit('app.py', 'mine, and more')
  expect(draft.phase).toBe('conflict')
  await expect(draft.flush()).rejects.toThrow('Choose first')
  expect(api.waiting).toBe(0)
})

test('keeps my version instead of theirs', async () => {
  const { draft } = await conflict('mine', 'theirs')
  const saved = draft.keepMine()
  const asked = await api.next(SAVE)
  expect(asked.body).toEqual({ files: { 'app.py': 'mine' }, revision: 7 })
  save(asked)
  await saved
  expect([draft.phase, draft.theirs]).toEqual(['saved', undefined])
})

test('keeps their version', async () => {
  const { draft } = await conflict('mine', 'theirs')
  draft.takeTheirs()
  expect([draft.phase, draft.files, draft.replaced, kept()]).toEqual([
    'saved',
    { 'app.py': 'theirs' },
    1,
    undefined,
  ])
})

test('asks nothing when someone else saved the same text', async () => {
  const { draft, flushed } = await conflict('same', 'same')
  await flushed
  expect([draft.phase, draft.theirs, draft.replaced]).toEqual(['saved', undefined, 0])
})

test('takes a newer draft from elsewhere only when nothing is unsaved', () => {
  const draft = open()
  draft.offer(draftOf({ 'app.py': 'older' }, 1))
  expect(draft.files).toEqual({ 'app.py': 'one' })
  draft.offer(draftOf({ 'app.py': 'newer' }, 2))
  expect([draft.files, draft.replaced]).toEqual([{ 'app.py': 'newer' }, 1])
  draft.edit('app.py', 'typed')
  draft.offer(draftOf({ 'app.py': 'newest' }, 3))
  expect(draft.files).toEqual({ 'app.py': 'typed' })
})

test('renames and removes folders with all their files', () => {
  const draft = open({ 'a/x.py': '1', 'a/b/y.py': '2', 'ab.py': '3' })
  draft.rename('a', 'c')
  expect(draft.paths).toEqual(['ab.py', 'c/b/y.py', 'c/x.py'])
  draft.remove('c')
  expect([draft.paths, draft.phase]).toEqual([['ab.py'], 'dirty'])
})

test('an edit that changes nothing does not count as a change', () => {
  const draft = open()
  draft.edit('app.py', 'one')
  expect(draft.phase).toBe('saved')
})

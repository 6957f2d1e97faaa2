import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { parentOf, watchParent } from './parent.ts'

describe('the end of the parent process', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it('is reported once, soon after another process has become the parent', () => {
    let parent = 7
    const gone = vi.fn()
    watchParent(7, gone, () => parent)
    vi.advanceTimersByTime(60_000)
    expect(gone).not.toHaveBeenCalled()
    // Not always 1: a container or a session may have a process that takes over orphans.
    parent = 4711
    vi.advanceTimersByTime(1_000)
    expect(gone).toHaveBeenCalledTimes(1)
    vi.advanceTimersByTime(60_000)
    expect(gone).toHaveBeenCalledTimes(1)
  })

  it('is reported also if it was before the watch began', () => {
    const gone = vi.fn()
    watchParent(7, gone, () => 1)
    vi.advanceTimersByTime(1_000)
    expect(gone).toHaveBeenCalledTimes(1)
  })
})

it('the parent to watch is given as an argument', () => {
  expect(parentOf(['node', 'server.ts', '--parent=12'])).toBe(12)
  expect(parentOf(['node', 'server.ts'])).toBeUndefined()
  expect(parentOf(['node', 'server.ts', '--parent=x'])).toBeUndefined()
})

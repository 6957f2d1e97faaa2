import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { FairQueue, QueueFull, type EnterQueueOptions, type FairQueueLimits } from './fair-queue.ts'

function queueOf(limits: Partial<FairQueueLimits> = {}) {
  const queue = new FairQueue({ atOnce: 1, waiting: 100, waitingPerKey: 10, ...limits })
  const served: string[] = []
  const ends = new Map<string, () => void>()
  /** Starts a task that runs until `end(name)`. */
  function add(key: string, name: string, options: EnterQueueOptions = {}): Promise<void> {
    const task = (): Promise<void> => {
      served.push(name)
      return new Promise((resolve) => ends.set(name, resolve))
    }
    return queue.run(key, task, options)
  }
  async function settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }
  async function end(name: string): Promise<void> {
    ends.get(name)!()
    await settle()
  }
  async function endAll(): Promise<string[]> {
    await settle()
    for (let i = 0; i < served.length; i++) await end(served[i]!)
    return served
  }
  return { queue, served, add, end, endAll, settle }
}

describe('a fair queue', () => {
  it('serves keys in turn, so that many tasks of one key delay another key by one turn only', async () => {
    const { add, endAll } = queueOf()
    for (let n = 0; n < 5; n++) void add('flood', `flood ${n}`)
    void add('quiet', 'quiet 0')
    void add('quiet', 'quiet 1')
    void add('other', 'other 0')
    expect(await endAll()).toEqual([
      'flood 0', 'flood 1', 'quiet 0', 'other 0', 'flood 2', 'quiet 1', 'flood 3', 'flood 4',
    ]) // prettier-ignore
  })

  it('never exceeds the limits of running tasks, in total and per key', async () => {
    const { add, served, end, settle, queue } = queueOf({ atOnce: 3, atOncePerKey: 2 })
    for (let n = 0; n < 4; n++) void add('a', `a${n}`)
    await settle()
    expect(served).toEqual(['a0', 'a1'])
    // The third place is not for the key that already uses two.
    void add('b', 'b0')
    void add('c', 'c0')
    await settle()
    expect(served).toEqual(['a0', 'a1', 'b0'])
    await end('a0')
    expect(served).toEqual(['a0', 'a1', 'b0', 'a2'])
    await end('b0')
    expect(served.at(-1)).toBe('c0')
    expect(queue.running).toBe(3)
  })

  it('refuses tasks of a key at its waiting limit, and of no other key', async () => {
    const { add, settle } = queueOf({ waitingPerKey: 2 })
    for (let n = 0; n < 3; n++) void add('a', `a${n}`)
    await settle()
    await expect(add('a', 'a3')).rejects.toMatchObject({ name: 'QueueFull', limit: 'key', most: 2 })
    void add('b', 'b0')
  })

  it('when it is full, refuses the newest task of the key with the most waiting tasks in favor of a key with few', async () => {
    const { add, endAll, settle } = queueOf({ waiting: 4 })
    const outcome = new Map<string, unknown>()
    const tell = (key: string, name: string): void =>
      void add(key, name).catch((error: unknown) => outcome.set(name, error))
    for (let n = 0; n < 5; n++) tell('flood', `flood ${n}`)
    await settle()
    tell('quiet', 'quiet 0')
    await settle()
    expect([...outcome]).toEqual([['flood 4', expect.any(QueueFull)]])
    expect(outcome.get('flood 4')).toMatchObject({ limit: 'total', most: 4 })
    // With a third waiting task, this key would have the most, so the task itself is refused.
    tell('quiet', 'quiet 1')
    tell('quiet', 'quiet 2')
    await settle()
    expect(new Set(outcome.keys())).toEqual(new Set(['flood 4', 'flood 3', 'quiet 2']))
    expect(await endAll()).toEqual(['flood 0', 'flood 1', 'quiet 0', 'flood 2', 'quiet 1'])
  })

  it('serves the values of `within` in turn within a key', async () => {
    const { add, endAll } = queueOf()
    for (let n = 0; n < 3; n++) void add('address', `guess ${n}`, { within: 'victim' })
    void add('address', 'own', { within: 'neighbour' })
    expect(await endAll()).toEqual(['guess 0', 'guess 1', 'own', 'guess 2'])
  })

  it('removes a waiting task that is aborted, which then delays no other', async () => {
    const { add, queue, end, served } = queueOf({ waitingPerKey: 1 })
    void add('a', 'a0')
    const left = new AbortController()
    const leaving = add('a', 'a1', { signal: left.signal })
    left.abort(new Error('gone'))
    await expect(leaving).rejects.toThrow('gone')
    expect(queue.waiting('a')).toBe(0)
    void add('a', 'a2')
    await end('a0')
    expect(served).toEqual(['a0', 'a2'])
  })

  it('counts the waiting tasks, and listens to no signal of one that waits no more', async () => {
    const { add, queue, end, endAll, settle } = queueOf()
    const left = new AbortController()
    const kept = new AbortController()
    void add('a', 'a0')
    void add('a', 'a1', { signal: kept.signal })
    const leaving = add('b', 'b0', { signal: left.signal })
    await settle()
    expect([queue.waiting(), queue.waiting('a'), queue.waiting('c')]).toEqual([2, 1, 0])
    left.abort(new Error('gone'))
    await expect(leaving).rejects.toThrow('gone')
    expect(queue.waiting()).toBe(1)
    await end('a0')
    expect(queue.waiting()).toBe(0)
    for (const { signal } of [left, kept]) expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(await endAll()).toEqual(['a0', 'a1'])
  })

  it('passes over keys without waiting tasks, and values of `within` without any', async () => {
    const { add, end, served, settle } = queueOf({ atOnce: 2, atOncePerKey: 1 })
    void add('a', 'a0')
    void add('b', 'b0')
    const left = new AbortController()
    void add('c', 'c0', { within: 'x', signal: left.signal }).catch(() => undefined)
    void add('c', 'c1', { within: 'y' })
    void add('c', 'c2', { within: 'z' })
    left.abort()
    await settle()
    await end('b0')
    expect(served).toEqual(['a0', 'b0', 'c1'])
    await end('c1')
    expect(served.at(-1)).toBe('c2')
  })

  it('when it is full, refuses the newest task of the longest `within`, and a task whose key would be the longest', async () => {
    const { add, settle } = queueOf({ waiting: 4 })
    const refused: string[] = []
    const tell = (key: string, name: string, within?: string): void =>
      void add(key, name, within ? { within } : {}).catch(() => refused.push(name))
    void add('busy', 'busy')
    for (const [name, within] of ['xx', 'xx', 'yy'].entries()) tell('a', `a${name}`, within)
    tell('b', 'b0')
    await settle()
    tell('b', 'b1')
    await settle()
    expect(refused).toEqual(['a1'])
    tell('b', 'b2')
    await settle()
    expect(refused).toEqual(['a1', 'b2'])
  })

  it('keeps a turn whose signal aborts after it was granted', async () => {
    const queue = new FairQueue({ atOnce: 1, waiting: 1, waitingPerKey: 1 })
    const first = queue.tryEnter('a')!
    const left = new AbortController()
    const second = queue.enter('b', { signal: left.signal })
    first.release()
    left.abort()
    const turn = await second
    expect(queue.running).toBe(1)
    turn.release()
    turn.release()
    expect(queue.running).toBe(0)
    expect(queue.tryEnter('c')).toBeDefined()
  })

  it('continues after a task that fails', async () => {
    const queue = new FairQueue({ atOnce: 1, waiting: 1, waitingPerKey: 1 })
    const failing = queue.run('a', () => Promise.reject(new Error('no')))
    const next = queue.run('a', () => 'yes')
    await expect(failing).rejects.toThrow('no')
    expect(await next).toBe('yes')
  })
})

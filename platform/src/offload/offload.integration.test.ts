import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createOffload, type Offload } from './offload.ts'

const script = new URL('../../test/fake-offload-child.ts', import.meta.url)
const open: Offload[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((offload) => offload.close()))
})
function start(options: Parameters<typeof createOffload>[0] = { script }): Offload {
  const offload = createOffload(options)
  open.push(offload)
  return offload
}
const pidOf = (answer: unknown): number => Number(/\d+$/.exec(String(answer))?.[0])
const ann = { userId: 'u_ann' }
const bob = { userId: 'u_bob' }

describe('the offload processes', () => {
  it('hash and verify with argon2id', async () => {
    const offload = start({})
    const hash = await offload.hash('correct horse')
    expect(hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect(await offload.verify(hash, 'correct horse')).toBe(true)
    expect(await offload.verify(hash, 'wrong')).toBe(false)
    expect(await offload.verify('no hash', 'wrong')).toBe(false)
  })

  it('are other processes, and passwords do not share one with the validator', async () => {
    const offload = start()
    const pids = new Set([
      process.pid,
      pidOf(await offload.hash('a')),
      pidOf(await offload.validate({}, ann)),
    ])
    expect(pids.size).toBe(3)
  })

  it('are restarted after a crash; a job that crashes two of them is rejected', async () => {
    const offload = start()
    const before = pidOf(await offload.hash('a'))
    await expect(offload.hash('crash')).rejects.toThrow('SIGKILL')
    expect(pidOf(await offload.hash('b'))).not.toBe(before)
    await expect(offload.validate({ 'app.py': 'crash' }, ann)).rejects.toMatchObject({
      code: 'FP_VALIDATION_FAILED',
      message: expect.stringContaining('ended the process'),
    })
  })

  it('repeat a job whose process was killed, as another job may be the cause', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'fp-offload-'))
    try {
      const files = { 'app.py': `crash-once ${join(folder, 'crashed')}` }
      expect(String(await start().validate(files, ann))).toMatch(/^validate in/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('let only a hanging validation fail: other users’ are checked meanwhile, its owner’s next one after it', async () => {
    const offload = start({ script, validationTimeout: 3_000 })
    let over = false
    const hanging = offload.validate({ 'app.py': 'hang' }, ann).finally(() => (over = true))
    const next = offload.validate({ 'app.py': '' }, ann)
    hanging.catch(() => undefined)
    expect(String(await offload.validate({ 'app.py': '' }, bob))).toMatch(/^validate in/)
    expect(over).toBe(false)
    await expect(hanging).rejects.toMatchObject({
      code: 'FP_VALIDATION_FAILED',
      message: expect.stringContaining('3 s'),
    })
    expect(String(await next)).toMatch(/^validate in/)
  })

  it('pass on what a job throws', async () => {
    await expect(start().hash('throw')).rejects.toThrow('thrown')
  })

  it('refuse only the user who has too many jobs waiting, and name the limit', async () => {
    const offload = start()
    const jobs = Array.from({ length: 22 }, () => offload.validate({ 'app.py': 'silent' }, ann))
    const outcomes = Promise.allSettled(jobs)
    await expect(jobs.at(-1)).rejects.toMatchObject({
      code: 'FP_QUEUE_FULL',
      message: expect.stringContaining('20 checks of code of one account are waiting'),
      details: { limit: 'validations_waiting_per_account', most: 20 },
      headers: { 'retry-after': expect.any(String) },
    })
    expect(String(await offload.validate({ 'app.py': '' }, bob))).toMatch(/^validate in/)
    await offload.close()
    expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true)
  })

  it('are not started for a job that was requested just before the end', async () => {
    const offload = start()
    const job = offload.hash('a')
    await offload.close()
    await expect(job).rejects.toMatchObject({ code: 'FP_UNAVAILABLE' })
  })

  it('allow a waiting job to be aborted', async () => {
    const offload = start({ script, validationTimeout: 2_000 })
    const hanging = offload.validate({ 'app.py': 'silent' }, ann).catch(() => undefined)
    const controller = new AbortController()
    const waiting = offload.validate({ 'app.py': '' }, { ...ann, signal: controller.signal })
    controller.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    await offload.close()
    await hanging
  })
})

describe('offload processes without work', () => {
  // The timers are fake; the processes are real.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())

  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }

  it('end after a minute, counted from the last job; the next job starts one', async () => {
    const offload = start()
    const pid = pidOf(await offload.hash('a'))
    vi.advanceTimersByTime(59_999)
    expect(pidOf(await offload.hash('b'))).toBe(pid)
    vi.advanceTimersByTime(59_999)
    expect(pidOf(await offload.hash('c'))).toBe(pid)
    vi.advanceTimersByTime(60_000)
    await expect.poll(() => isAlive(pid)).toBe(false)
    const next = pidOf(await offload.hash('d'))
    expect(next).not.toBe(pid)
    expect(isAlive(next)).toBe(true)
  })

  it('stay while a job is likely, and only one of them', async () => {
    const offload = start()
    await offload.warmValidator()
    const pid = pidOf(await offload.validate({}, ann))
    vi.advanceTimersByTime(59_999)
    await offload.warmValidator()
    vi.advanceTimersByTime(59_999)
    expect(pidOf(await offload.validate({}, bob))).toBe(pid)
  })

  it('do not end in the middle of a job', async () => {
    const offload = start({ script, idleTimeout: 10_000 })
    const pid = pidOf(await offload.validate({}, ann))
    const long = offload.validate({ 'app.py': 'silent' }, bob)
    const outcome = expect(long).rejects.toMatchObject({ code: 'FP_UNAVAILABLE' })
    // After its answer the long job is in its process.
    await offload.hash('a')
    // Less than the limit of a job, which ends its process.
    vi.advanceTimersByTime(29_000)
    // After its answer a process that had to end has ended.
    await offload.hash('a')
    expect(isAlive(pid)).toBe(true)
    await offload.close()
    await outcome
  })
})

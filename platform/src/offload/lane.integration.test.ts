import { afterEach, describe, expect, it } from 'vitest'
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
    const pids = new Set([process.pid, pidOf(await offload.hash('a')), pidOf(await offload.validate({}))])
    expect(pids.size).toBe(3)
  })

  it('come back after a crash; the job that crashed one is told', async () => {
    const offload = start()
    const before = pidOf(await offload.hash('a'))
    await expect(offload.hash('crash')).rejects.toThrow('SIGKILL')
    expect(pidOf(await offload.hash('b'))).not.toBe(before)
  })

  it('are replaced when a validation hangs, and the next one works', async () => {
    // The start of the next process counts as well.
    const offload = start({ script, validationTimeout: 3_000 })
    const hanging = offload.validate({ 'app.py': 'hang' })
    const next = offload.validate({ 'app.py': '' })
    await expect(hanging).rejects.toMatchObject({
      code: 'FP_VALIDATION_FAILED',
      message: expect.stringContaining('3 s'),
    })
    expect(String(await next)).toMatch(/^validate in/)
  })

  it('pass on what a job throws', async () => {
    await expect(start().hash('throw')).rejects.toThrow('thrown')
  })

  it('refuse work when too much waits', async () => {
    const offload = start()
    const jobs = Array.from({ length: 203 }, () => offload.hash('silent'))
    const outcomes = Promise.allSettled(jobs)
    await expect(jobs.at(-1)).rejects.toMatchObject({ code: 'FP_UNAVAILABLE' })
    await offload.close()
    expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true)
  })

  it('are not started for a job that was asked for just before the end', async () => {
    const offload = start()
    const job = offload.hash('a')
    await offload.close()
    await expect(job).rejects.toMatchObject({ code: 'FP_UNAVAILABLE' })
  })

  it('let a waiting job be given up', async () => {
    const offload = start({ script, validationTimeout: 2_000 })
    const hanging = offload.validate({ 'app.py': 'silent' }).catch(() => undefined)
    const controller = new AbortController()
    const waiting = offload.validate({ 'app.py': '' }, { signal: controller.signal })
    controller.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    await offload.close()
    await hanging
  })
})

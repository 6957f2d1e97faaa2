import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { BROKEN, deploysOf, version } from '../../../test/deploys.ts'
import { HELLO, modulesBench } from '../../../test/modules.ts'

const bench = await modulesBench()
afterAll(() => bench[Symbol.asyncDispose]())
const ann = bench.as('u_ann')
const { makeApp, deploy, ended } = deploysOf(ann)
beforeEach(() => {
  bench.targets.hold = false
})

const get = async (app: string): Promise<Record<string, unknown>> =>
  (await ann('GET', `/api/apps/${app}`)).body

describe('after the platform was killed', () => {
  test('unfinished deployments have failed with a reason, and one that went live is ready', async () => {
    const app = await makeApp()
    bench.targets.hold = true
    const lost = await deploy(app)
    const wake = await bench.targets.next()
    const other = await makeApp()
    bench.targets.hold = false
    const live = await deploy(other)
    await ended(other, live)
    const deployments = bench.mongo.db.collection<{ _id: string }>('deployments')
    await deployments.updateOne(
      { _id: live },
      { $set: { open: true, stage: 'starting', finishedAt: null }, $pop: { events: 1 } },
    )

    const next = await bench.restart()
    await next.recover()
    expect(await next.deployments.find('u_ann', app, lost)).toMatchObject({
      stage: 'failed',
      failure: { code: 'FP_UNAVAILABLE', message: expect.stringContaining('Deploy again') },
    })
    expect(await next.deployments.find('u_ann', other, live)).toMatchObject({ stage: 'ready', failure: null })
    expect(await deployments.countDocuments({ open: true })).toBe(0)
    expect(await get(app)).toMatchObject({ status: 'error' })
    await next.close()
    wake.fail(BROKEN)
  })

  test('deployments of the previous fp version have no jobs: those of a living replica go first, others are ended', async () => {
    const app = await makeApp()
    const deployments = bench.mongo.db.collection<{ _id: string }>('deployments')
    const first = await deploy(app, version(1))
    await ended(app, first)
    const { _id, ...old } = (await deployments.findOne({ _id: first }))!
    const open = { ...old, open: true, running: true, stage: 'starting', finishedAt: null, replica: 'r_dead' }
    // Accepted before the next one, by a replica of the previous version.
    await deployments.insertOne({ _id: 'd_before', ...open, order: 1.5 } as never)
    const next = await deploy(app, version(2))
    expect(await ended(app, next)).toMatchObject({ stage: 'ready' })
    expect(await ended(app, 'd_before')).toMatchObject({
      stage: 'failed',
      failure: { code: 'FP_UNAVAILABLE', message: expect.stringContaining('Deploy again') },
    })

    bench.targets.hold = true
    const living = (await deployments.findOne({ _id: next }))! as never as { replica: string }
    await deployments.insertOne({ _id: 'd_other', ...open, order: 2.5, replica: living.replica } as never)
    const last = await deploy(app, version(3))
    await bench.services.recover()
    expect(await bench.services.deployments.find('u_ann', app, last)).toMatchObject({ stage: 'validating' })
    await deployments.updateOne({ _id: 'd_other' }, { $set: { stage: 'ready' }, $unset: { open: true } })
    ;(await bench.targets.next()).succeed()
    expect(await ended(app, last)).toMatchObject({ stage: 'ready', version: 3 })
  })

  test('a deployment whose end cannot be stored ends once it can, and holds up no other', async () => {
    const app = await makeApp()
    const { db } = bench.mongo
    await db.command({ collMod: 'deployments', validator: { stage: { $ne: 'ready' } } })
    const first = await deploy(app, version(1))
    await expect.poll(() => bench.services.apps.findAny(app)).toMatchObject({ live: { deploymentId: first } })
    const second = await deploy(app, version(2))
    await db.command({ collMod: 'deployments', validator: {} })
    expect(await ended(app, first)).toMatchObject({ stage: 'ready' })
    expect(await ended(app, second)).toMatchObject({ stage: 'ready', version: 2 })
  })

  test('a deployment that lost its job when it was accepted is ended', async () => {
    const app = await makeApp()
    const deployments = bench.mongo.db.collection<{ _id: string }>('deployments')
    const first = await deploy(app, version(1))
    await ended(app, first)
    const { _id, ...old } = (await deployments.findOne({ _id: first }))! as never as {
      _id: string
      createdAt: Date
    }
    const lost = { ...old, open: true, stage: 'validating', finishedAt: null, order: 1.5 }
    await deployments.insertOne({ _id: 'd_lost', ...lost, createdAt: new Date(Date.now() - 60_000) } as never)
    const next = await deploy(app, version(2))
    expect(await ended(app, next)).toMatchObject({ stage: 'ready' })
    expect(await ended(app, 'd_lost')).toMatchObject({ stage: 'failed' })
  })

  test('closing fails running and queued deployments with a reason, and refuses new ones', async () => {
    await using own = await modulesBench()
    const as = own.as('u_ann')
    const app = (await as('POST', '/api/apps', { name: 'a', files: HELLO })).body.app_id
    own.targets.hold = true
    const ids = [1, 2].map(
      async () => (await as('POST', `/api/apps/${app}/deploy`, {})).body.deployment_id as string,
    )
    const [first, second] = await Promise.all(ids)
    await own.targets.next()
    await own.services.close()
    for (const id of [first!, second!]) {
      expect((await as('GET', `/api/apps/${app}/deployments/${id}`)).body).toMatchObject({
        stage: 'failed',
        failure: { code: 'FP_UNAVAILABLE' },
      })
    }
    expect(await as('POST', `/api/apps/${app}/deploy`, {})).toMatchObject({ status: 503 })
  })
})

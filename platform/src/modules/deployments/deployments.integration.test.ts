import { once } from 'node:events'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { BROKEN, deploysOf, version } from '../../../test/deploys.ts'
import { HELLO, modulesBench, type Requests } from '../../../test/modules.ts'
import { KEPT_VERSIONS } from '../versions/load.ts'
import { DEPLOY_LIMITS } from './queue.ts'

const bench = await modulesBench()
afterAll(() => bench[Symbol.asyncDispose]())
const ann = bench.as('u_ann')
const { makeApp, deploy, ended } = deploysOf(ann)
beforeEach(() => {
  bench.targets.hold = false
  bench.findings = []
})

const get = async (app: string): Promise<Record<string, unknown>> =>
  (await ann('GET', `/api/apps/${app}`)).body
const route = async (app: string): Promise<string | null | undefined> =>
  (await bench.services.route(app))?.key

describe('a deploy', () => {
  test('validates, stores a version, wakes it, makes it live and reports each step', async () => {
    const app = await makeApp()
    bench.targets.hold = true
    const warning = {
      file: 'app.py',
      line: 1,
      column: 1,
      end_line: 1,
      end_column: 5,
      rule: 'unused',
      message: 'm',
      severity: 'warning' as const,
    }
    bench.findings = [warning]
    const answer = await ann('POST', `/api/apps/${app}/deploy`, {})
    expect(answer).toMatchObject({ status: 202, body: { version: 1, warnings: [warning] } })
    const wake = await bench.targets.next()
    expect(await get(app)).toMatchObject({ status: 'deploying', live_version: null })
    expect(await route(app)).toBeNull()
    const live = once(bench.events, 'deployment.live')
    wake.succeed()
    const done = await ended(app, answer.body.deployment_id)
    expect(done).toMatchObject({
      stage: 'ready',
      version: 1,
      kind: 'deploy',
      failure: null,
      finished_at: expect.any(String),
    })
    expect((done['events'] as { stage: string }[]).map((event) => event.stage)).toEqual([
      'validating',
      'creating',
      'starting',
      'ready',
    ])
    expect(await live).toEqual([
      { userId: 'u_ann', appId: app, version: 1, deploymentId: answer.body.deployment_id },
    ])
    expect(await get(app)).toMatchObject({
      status: 'running',
      live_version: 1,
      has_unpublished_changes: false,
    })
    expect(await route(app)).toBe(wake.key)
  })

  test('with errors is refused with every finding, and only the draft is stored', async () => {
    const app = await makeApp()
    const place = { file: 'a/b.py', line: 2, column: 1, end_line: 2, end_column: 5 }
    bench.findings = [
      { ...place, rule: 'syntax-error', message: 'bad', severity: 'error' },
      { ...place, rule: 'unused-import', message: 'hm', severity: 'warning' },
    ]
    const answer = await ann('POST', `/api/apps/${app}/deploy`, { files: version(9) })
    expect(answer).toMatchObject({
      status: 422,
      body: { code: 'FP_VALIDATION_FAILED', details: bench.findings },
    })
    expect((await ann('GET', `/api/apps/${app}/deployments`)).body.items).toEqual([])
    expect((await ann('GET', `/api/apps/${app}/versions`)).body.items).toEqual([])
    expect(await get(app)).toMatchObject({ status: 'draft', draft: { files: version(9), revision: 2 } })
  })

  test('that is the first and fails leaves the app in error, with the traceback', async () => {
    const app = await makeApp()
    bench.targets.hold = true
    const deployment = await deploy(app)
    const wake = await bench.targets.next()
    wake.fail(BROKEN)
    expect(await ended(app, deployment)).toMatchObject({
      stage: 'failed',
      failure: { ...BROKEN, at: expect.any(String) },
    })
    expect(await get(app)).toMatchObject({ status: 'error', live_version: null, last_failure: BROKEN })
    expect(bench.targets.retired).toContain(wake.key)
    bench.targets.hold = false
    await ended(app, await deploy(app))
    expect(await get(app)).toMatchObject({ status: 'running', last_failure: null })
  })

  test('that fails later leaves the old version serving', async () => {
    const app = await makeApp()
    await ended(app, await deploy(app, version(1)))
    const serving = await route(app)
    bench.targets.hold = true
    const deployment = await deploy(app, version(2))
    const wake = await bench.targets.next()
    expect(await route(app)).toBe(serving)
    wake.fail(BROKEN)
    expect(await ended(app, deployment)).toMatchObject({ stage: 'failed', version: 2 })
    expect(await route(app)).toBe(serving)
    expect(bench.targets.awake).toContain(serving)
    expect(bench.targets.retired).not.toContain(serving)
    expect(await get(app)).toMatchObject({
      status: 'running',
      live_version: 1,
      has_unpublished_changes: true,
      last_failure: null,
    })
    // A number is never reused.
    bench.targets.hold = false
    expect((await ann('POST', `/api/apps/${app}/deploy`, {})).body.version).toBe(3)
  })

  test('retires the old target after the gate was notified', async () => {
    const app = await makeApp()
    await ended(app, await deploy(app, version(1)))
    const old = await route(app)
    const order: unknown[] = []
    const listen = (): void => void order.push(bench.targets.retired.includes(old!))
    bench.changes.once('routed', listen)
    await ended(app, await deploy(app, version(2)))
    expect(order).toEqual([false])
    expect(bench.targets.retired).toContain(old)
    expect(await route(app)).not.toBe(old)
  })

  test('while another runs is accepted, waits for it, and the last one wins', async () => {
    const app = await makeApp()
    bench.targets.hold = true
    const [first, second, third] = await Promise.all([
      deploy(app, version(1)),
      deploy(app, version(2)),
      deploy(app, version(3)),
    ])
    const keys: string[] = []
    for (let i = 0; i < 3; i++) {
      const wake = await bench.targets.next()
      keys.push(wake.key)
      if (i === 1) wake.fail(BROKEN)
      else wake.succeed()
    }
    const done = await Promise.all([first, second, third].map((id) => ended(app, id!)))
    expect(done.map((one) => one.stage).sort()).toEqual(['failed', 'ready', 'ready'])
    const last = done.find((one) => one['version'] === 3)
    expect(last).toMatchObject({ stage: 'ready' })
    expect(keys.map((key) => key.split('.')[1])).toEqual(['1', '2', '3'])
    expect(await route(app)).toBe(keys[2])
    expect(await get(app)).toMatchObject({ live_version: 3, status: 'running' })
    expect(bench.targets.retired).toEqual(expect.arrayContaining([keys[0], keys[1]]))
    expect(bench.targets.retired).not.toContain(keys[2])
  })

  test('of an unchanged draft leaves no unpublished changes, which are compared by content', async () => {
    const app = await makeApp()
    await ended(app, await deploy(app, version(1)))
    await ann('PUT', `/api/apps/${app}/draft`, { files: version(2) })
    expect(await get(app)).toMatchObject({ has_unpublished_changes: true })
    await ann('PUT', `/api/apps/${app}/draft`, { files: version(1) })
    expect(await get(app)).toMatchObject({ has_unpublished_changes: false })
  })
})

describe('deleting', () => {
  test('an app removes all of it, retires its target, and leaves nothing running', async () => {
    const app = await makeApp()
    await ended(app, await deploy(app))
    const key = await route(app)
    expect(await ann('DELETE', `/api/apps/${app}`)).toMatchObject({ status: 204, text: '' })
    expect(bench.targets.retired).toContain(key)
    expect(bench.removed).toContain(app)
    for (const name of ['apps', 'drafts', 'versions', 'deployments']) {
      expect(
        await bench.mongo.db
          .collection(name)
          .countDocuments({ $or: [{ _id: app as never }, { appId: app }] }),
        name,
      ).toBe(0)
    }
    expect(await ann('GET', `/api/apps/${app}`)).toMatchObject({ status: 404 })
    expect(await bench.services.route(app)).toBeUndefined()
    await expect(bench.services.specOf(key!)).rejects.toMatchObject({ code: 'FP_APP_NOT_FOUND' })
  })

  test('an app that is being deployed ends the deployments, and none of them goes live', async () => {
    const app = await makeApp()
    bench.targets.hold = true
    const running = await deploy(app, version(1))
    const queued = await deploy(app, version(2))
    const wake = await bench.targets.next()
    const watching = [running, queued].map((id) => ann('GET', `/api/apps/${app}/deployments/${id}/events`))
    // Both streams are open once their first event can be read. `inject` returns only complete answers, so this asks the feed.
    await bench.services.deployments.find('u_ann', app, running)
    expect(await ann('DELETE', `/api/apps/${app}`)).toMatchObject({ status: 204 })
    wake.succeed()
    const streams = await Promise.all(watching)
    expect(streams[0]!.text).toContain('FP_APP_DELETED')
    expect(bench.targets.awake).not.toContain(wake.key)
    expect(bench.targets.retired).toContain(wake.key)
    expect(await bench.services.route(app)).toBeUndefined()
    expect(await bench.mongo.db.collection('deployments').countDocuments({ appId: app })).toBe(0)
    expect(await bench.mongo.db.collection('versions').countDocuments({ appId: app })).toBe(0)
  })

  test('that was interrupted is completed at the next start', async () => {
    const app = await makeApp()
    await ended(app, await deploy(app))
    await bench.mongo.db
      .collection('apps')
      .updateOne({ _id: app as never }, { $set: { deletedAt: new Date() } })
    expect(await ann('GET', `/api/apps/${app}`)).toMatchObject({ status: 404 })
    const next = await bench.restart()
    await next.recover()
    await expect.poll(() => bench.mongo.db.collection('apps').findOne({ _id: app as never })).toBeNull()
    expect(await bench.mongo.db.collection('drafts').findOne({ _id: app as never })).toBeNull()
    expect(bench.removed).toContain(app)
    await next.close()
  })
})

describe('versions', () => {
  test('of the last ten are kept, and the live one', async () => {
    const app = await makeApp()
    await ended(app, await deploy(app, version(1)))
    bench.targets.hold = true
    for (let n = 2; n <= 13; n++) {
      const deployment = await deploy(app, version(n))
      ;(await bench.targets.next()).fail(BROKEN)
      await ended(app, deployment)
    }
    bench.targets.hold = false
    await ended(app, await deploy(app, version(14)))
    // Pruning follows the end of a deployment, and the next deployment is accepted after it.
    await ended(app, (await ann('POST', `/api/apps/${app}/rollback`, { version: 5 })).body.deployment_id)
    const listed = await ann('GET', `/api/apps/${app}/versions`)
    const numbers = listed.body.items.map((one: { version: number }) => one.version)
    expect(numbers).toEqual([14, 13, 12, 11, 10, 9, 8, 7, 6, 5])
    expect(numbers).toHaveLength(KEPT_VERSIONS)
    expect(listed.body.items.filter((one: { live: boolean }) => one.live)).toMatchObject([
      { version: 5, file_count: 1, total_bytes: 7 },
    ])
    await ended(app, await deploy(app, version(15)))
    await ended(app, (await ann('POST', `/api/apps/${app}/rollback`, { version: 6 })).body.deployment_id)
    await ended(app, await deploy(app, version(16)))
    expect(await ann('GET', `/api/apps/${app}/versions/1`)).toMatchObject({
      status: 404,
      body: { code: 'FP_VERSION_NOT_FOUND' },
    })
    const one = await ann('GET', `/api/apps/${app}/versions/9`)
    expect(one.body).toMatchObject({ version: 9, live: false, files: version(9) })
  })

  test('that did not start in any deployment say so, until one goes live', async () => {
    const app = await makeApp()
    const failed = async (): Promise<[number, boolean][]> =>
      (await ann('GET', `/api/apps/${app}/versions`)).body.items.map(
        (one: { version: number; failed_to_start: boolean }) => [one.version, one.failed_to_start],
      )
    const rollBack = async (to: number): Promise<string> =>
      (await ann('POST', `/api/apps/${app}/rollback`, { version: to })).body.deployment_id
    await ended(app, await deploy(app, version(1)))
    bench.targets.hold = true
    const broken = await deploy(app, version(2))
    const wake = await bench.targets.next()
    expect(await failed()).toEqual([
      [2, false],
      [1, false],
    ])
    wake.fail(BROKEN)
    await ended(app, broken)
    const full = await deploy(app, version(3))
    ;(await bench.targets.next()).fail({ ...BROKEN, code: 'FP_CLUSTER_FULL' })
    await ended(app, full)
    // A version that has been live once is a good one, though a later start of it fails.
    bench.targets.hold = false
    await ended(app, await deploy(app, version(4)))
    bench.targets.hold = true
    const back = await rollBack(1)
    ;(await bench.targets.next()).fail(BROKEN)
    await ended(app, back)
    expect(await failed()).toEqual([
      [4, false],
      [3, false],
      [2, true],
      [1, false],
    ])
    expect((await ann('GET', `/api/apps/${app}/versions/2`)).body).toMatchObject({ failed_to_start: true })
    bench.targets.hold = false
    await ended(app, await rollBack(2))
    expect((await failed())[2]).toEqual([2, false])
  })

  test('queued for deployment are not pruned before their turn', async () => {
    const app = await makeApp()
    bench.targets.hold = true
    const ids: string[] = []
    for (let n = 1; n <= 13; n++) ids.push(await deploy(app, version(n)))
    for (let n = 1; n <= 13; n++) (await bench.targets.next()).succeed()
    const done = await Promise.all(ids.map((id) => ended(app, id)))
    expect(done.map((one) => one.stage)).toEqual(ids.map(() => 'ready'))
  })

  test('are rolled back to with a new target, and the draft stays', async () => {
    const app = await makeApp()
    await ended(app, await deploy(app, version(1)))
    const first = await route(app)
    await ended(app, await deploy(app, version(2)))
    const answer = await ann('POST', `/api/apps/${app}/rollback`, { version: 1 })
    expect(answer).toMatchObject({ status: 202, body: { version: 1, warnings: [] } })
    expect(await ended(app, answer.body.deployment_id)).toMatchObject({
      stage: 'ready',
      kind: 'rollback',
      version: 1,
    })
    const now = await get(app)
    expect(now).toMatchObject({
      live_version: 1,
      has_unpublished_changes: true,
      draft: { files: version(2) },
    })
    // The first target of this version was retired. Its key is not reused.
    expect(await route(app)).not.toBe(first)
    expect((await bench.services.specOf((await route(app))!)).files).toEqual(version(1))
    expect(await ann('POST', `/api/apps/${app}/rollback`, { version: 99 })).toMatchObject({
      status: 404,
      body: { code: 'FP_VERSION_NOT_FOUND' },
    })
    expect(await ann('POST', `/api/apps/${app}/rollback`, { version: 0 })).toMatchObject({ status: 422 })
  })
})

describe('many deployments', () => {
  const deployAs = async (as: Requests, count: number): Promise<void> => {
    for (let n = 0; n < count; n++) {
      const app = (await as('POST', '/api/apps', { name: `app ${n}`, files: HELLO })).body.app_id
      expect((await as('POST', `/api/apps/${app}/deploy`)).status).toBe(202)
    }
  }

  test('of one user that hang do not block the deployments of others', async () => {
    await using own = await modulesBench()
    own.targets.hold = true
    await deployAs(own.as('u_ann'), 6)
    for (let n = 0; n < 4; n++) await own.targets.next()
    await deployAs(own.as('u_bob'), 1)
    const wake = await own.targets.next()
    const [bobs] = (await own.as('u_bob')('GET', '/api/apps')).body.items
    expect(wake.key.split('.')[0]).toBe(bobs.app_id)
    expect(own.targets.woken).toHaveLength(5)
  })

  test('over a user’s limit are refused with the name of the limit, only for that user', async () => {
    await using own = await modulesBench()
    const ann = own.as('u_ann')
    own.targets.hold = true
    const app = (await ann('POST', '/api/apps', { name: 'app', files: HELLO })).body.app_id
    await ann('POST', `/api/apps/${app}/deploy`)
    const wake = await own.targets.next()
    for (let n = 1; n < DEPLOY_LIMITS.mostPerOwner; n++)
      expect((await ann('POST', `/api/apps/${app}/deploy`)).status).toBe(202)
    expect(await ann('POST', `/api/apps/${app}/deploy`)).toMatchObject({
      status: 503,
      body: { code: 'FP_QUEUE_FULL', details: { limit: 'deployments_waiting_per_account' } },
    })
    expect((await ann('GET', `/api/apps/${app}/deployments?limit=1`)).body.items[0]).toMatchObject({
      stage: 'validating',
    })
    await deployAs(own.as('u_bob'), 1)
    wake.succeed()
    // The place is free once the first one has ended.
    await expect.poll(async () => (await ann('POST', `/api/apps/${app}/deploy`)).status).toBe(202)
  })
})

test('deployments are listed newest first, in pages', async () => {
  const app = await makeApp()
  const ids: string[] = []
  for (let n = 1; n <= 3; n++) {
    const id = await deploy(app, version(n))
    await ended(app, id)
    ids.unshift(id)
  }
  const first = await ann('GET', `/api/apps/${app}/deployments?limit=2`)
  const second = await ann('GET', `/api/apps/${app}/deployments?limit=2&cursor=${first.body.next_cursor}`)
  const seen = [...first.body.items, ...second.body.items].map(
    (one: { deployment_id: string }) => one.deployment_id,
  )
  expect(seen).toEqual(ids)
  expect(second.body.next_cursor).toBeNull()
})

test('a deploy and a clone need no body', async () => {
  const app = await makeApp()
  expect(await ann('POST', `/api/apps/${app}/deploy`)).toMatchObject({ status: 202 })
  expect(await ann('POST', `/api/apps/${app}/clone`)).toMatchObject({ status: 201 })
})

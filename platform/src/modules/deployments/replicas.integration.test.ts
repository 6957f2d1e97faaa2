import { afterEach, beforeEach, expect, test } from 'vitest'
import { joinMembership, type Membership } from '../../coordination/membership.ts'
import { testMongo } from '../../../test/database.ts'
import { fakeClusterRuntime } from '../../../test/fake-runtime.ts'
import { HELLO, modulesBench, type ModulesBench } from '../../../test/modules.ts'
import type { Mongo } from '../../plugins/mongo.ts'

/** Two replicas on one database, each with its own `HeldTargets`: a wake shows which replica runs a deployment. */
interface Side extends ModulesBench {
  readonly member: Membership
}

let mongo: Mongo & AsyncDisposable
let one: Side
let two: Side

async function side(): Promise<Side> {
  const member = await joinMembership(mongo.db, { role: 'platform', onError: () => undefined })
  const bench = await modulesBench({ db: mongo.db, client: mongo.client, members: member })
  bench.targets.hold = true
  return Object.assign(bench, { member })
}

beforeEach(async () => {
  mongo = await testMongo()
  one = await side()
  two = await side()
})
afterEach(async () => {
  for (const each of [two, one]) {
    await each[Symbol.asyncDispose]()
    await each.member[Symbol.asyncDispose]()
  }
  await mongo[Symbol.asyncDispose]()
})

async function makeApp(): Promise<string> {
  return (await one.as('u_ann')('POST', '/api/apps', { name: 'app', files: HELLO })).body.app_id
}

async function deploy(at: Side, app: string): Promise<string> {
  return (await at.as('u_ann')('POST', `/api/apps/${app}/deploy`)).body.deployment_id
}

/** Resolves when the deployment has ended. */
const events = async (at: Side, app: string, id: string): Promise<string[]> => {
  const { text } = await at.as('u_ann')('GET', `/api/apps/${app}/deployments/${id}/events`)
  return [...text.matchAll(/^(?:id|event): (.*)$/gm)].map((match) => match[1]!)
}

/** Acts like a kill of the replica: it sends no more heartbeats. */
const kill = (side: Side): Promise<unknown> =>
  mongo.db
    .collection<{ _id: string }>('replicas')
    .updateOne({ _id: side.member.id }, { $set: { seen: new Date(Date.now() - 31_000) } })

test('an app’s deployments run one at a time, in order, whichever replicas accepted them', async () => {
  const app = await makeApp()
  const first = await deploy(one, app)
  const wake = await one.targets.next()
  const second = await deploy(two, app)
  const third = await deploy(one, app)
  const followed = events(two, app, first)
  // A deployment of another app does not wait.
  const other = await makeApp()
  await deploy(two, other)
  const otherWake = await two.targets.next()
  expect(otherWake.key).toContain(other)
  otherWake.succeed()
  expect(two.targets.woken).toEqual([otherWake.key])

  wake.succeed()
  expect(await followed).toEqual(['1', 'validating', '2', 'creating', '3', 'starting', '4', 'ready'])
  const next = await two.targets.next()
  expect(next.key).toMatch(new RegExp(`^${app}\\.2\\.`))
  expect(one.targets.woken).toHaveLength(1)
  next.succeed()
  await events(one, app, second)
  const last = await one.targets.next()
  expect(last.key).toMatch(new RegExp(`^${app}\\.3\\.`))
  last.succeed()
  await events(two, app, third)
  expect((await two.services.route(app))?.key).toBe(last.key)
})

test('a deletion at one replica stops the deployments at another, and leaves nothing', async () => {
  const app = await makeApp()
  const running = await deploy(one, app)
  await deploy(one, app)
  const wake = await one.targets.next()
  const followed = events(two, app, running)
  expect(await two.as('u_ann')('DELETE', `/api/apps/${app}`)).toMatchObject({ status: 204 })
  expect(await followed).not.toContain('ready')
  expect(one.targets.retired).toContain(wake.key)
  for (const name of ['apps', 'drafts', 'versions', 'deployments']) {
    const left = { $or: [{ _id: app as never }, { appId: app }] }
    await expect.poll(() => mongo.db.collection(name).countDocuments(left), { message: name }).toBe(0)
  }
})

test('deployments of a living replica continue, and those of a dead one are ended', async () => {
  const app = await makeApp()
  const lost = await deploy(one, app)
  const wake = await one.targets.next()
  const waiting = await deploy(two, app)
  await two.services.recover()
  expect(await two.services.deployments.find('u_ann', app, lost)).toMatchObject({ stage: 'starting' })

  await kill(one)
  await two.services.recover()
  expect(await two.services.deployments.find('u_ann', app, lost)).toMatchObject({
    stage: 'failed',
    failure: { code: 'FP_UNAVAILABLE', message: expect.stringContaining('Deploy again') },
  })
  ;(await two.targets.next()).succeed()
  expect((await events(two, app, waiting)).at(-1)).toBe('ready')
  wake.fail({ code: 'X', message: 'of the dead', traceback: null, file: null, line: null })
})

test('apps that outlive the platform are not recorded as asleep at its start', async () => {
  const app = await makeApp()
  one.targets.hold = false
  await events(one, app, await deploy(one, app))
  const sleptAt = async (): Promise<Date | null> => (await one.services.apps.find('u_ann', app)).sleptAt
  const shared = await modulesBench({
    db: mongo.db,
    client: mongo.client,
    runtime: fakeClusterRuntime(),
  })
  await shared.services.recover()
  expect(await sleptAt()).toBeNull()
  await shared[Symbol.asyncDispose]()
  await one.services.recover()
  expect(await sleptAt()).not.toBeNull()
})

test('two replicas that resume a deletion do not harm each other', async () => {
  const app = await makeApp()
  one.targets.hold = false
  await events(one, app, await deploy(one, app))
  await mongo.db.collection('apps').updateOne({ _id: app as never }, { $set: { deletedAt: new Date() } })
  await Promise.all([one.services.recover(), two.services.recover()])
  await expect.poll(() => mongo.db.collection('apps').countDocuments({ _id: app as never })).toBe(0)
  expect(await mongo.db.collection('versions').countDocuments({ appId: app })).toBe(0)
  expect(one.logged() + two.logged()).not.toContain('could not')
})

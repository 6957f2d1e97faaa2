import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestPlatform, type TestPlatform, type TestUser } from '../../../test/platform.ts'

const CODE = 'from fastapi import FastAPI\napp = FastAPI()\n'

let test: TestPlatform
let admin: TestUser
let user: TestUser
beforeAll(async () => {
  test = await startTestPlatform({
    FP_MAX_APPS_PER_USER: '3',
    FP_MAX_DEPLOYS_PER_HOUR: '2',
    FP_MAX_AWAKE_PER_USER: '1',
  })
  admin = await test.user()
  user = await test.user()
})
afterAll(() => test[Symbol.asyncDispose]())

const create = (by: TestUser) => by.request('POST', '/api/apps', { name: 'one more', code: CODE })

describe('the quota of one user', () => {
  it('limits apps, also with concurrent requests; a clone counts too', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => create(user)))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 201, 409, 409, 409])
    const refused = answers.find(({ status }) => status === 409)!
    expect(refused.body).toMatchObject({
      code: 'FP_APP_LIMIT',
      message: expect.stringMatching(/at most 3.*Delete one/),
    })
    const { app_id: appId } = answers.find(({ status }) => status === 201)!.body
    expect((await user.request('POST', `/api/apps/${appId}/clone`)).body.code).toBe('FP_APP_LIMIT')
    expect((await user.request('DELETE', `/api/apps/${appId}`)).status).toBe(204)
    expect((await create(user)).status).toBe(201)
  })

  it('limits deploys per hour of all apps together, and the error says when to try again', async () => {
    const { items } = (await user.request('GET', '/api/apps')).body
    const deploy = (n: number) => user.request('POST', `/api/apps/${items[n].app_id}/deploy`, {})
    expect([(await deploy(0)).status, (await deploy(1)).status]).toEqual([202, 202])
    const refused = await deploy(2)
    expect([refused.status, refused.body.code]).toEqual([429, 'FP_DEPLOY_LIMIT'])
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3_000)
  })

  it('limits awake apps: one more puts the one to sleep that was idle longest', async () => {
    const other = await test.user()
    const [first, second] = [await create(other), await create(other)].map(
      ({ body }) => body.app_id as string,
    )
    const status = async (appId: string | undefined): Promise<string> =>
      (await other.request('GET', `/api/apps/${appId}`)).body.status
    await other.request('POST', `/api/apps/${first}/deploy`, {})
    await expect.poll(() => status(first), { timeout: 60_000 }).toBe('running')
    await other.request('POST', `/api/apps/${second}/deploy`, {})
    await expect.poll(() => status(second), { timeout: 60_000 }).toBe('running')
    expect(await status(first)).toBe('sleeping')
    expect((await other.request('POST', `/api/apps/${first}/wake`)).status).toBe(200)
    expect(await status(second)).toBe('sleeping')
  })

  it('does not apply to admins', async () => {
    for (let n = 0; n < 4; n++) {
      const { app_id: appId } = (await create(admin)).body
      expect((await admin.request('POST', `/api/apps/${appId}/deploy`, {})).status).toBe(202)
    }
  })
})

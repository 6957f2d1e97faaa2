import { expect, test } from 'vitest'
import { createActivator } from './create-activator.ts'
import { FakeDriver, settle } from './drivers/fake/index.ts'
import type { Endpoint } from './types.ts'

const withUrl = (url: unknown): Endpoint => ({ id: 'a', url: url as URL })

test.each([
  ['a text', 'http://127.0.0.1:80', "is 'http://127.0.0.1:80' and not a URL object"],
  ['nothing', undefined, 'is undefined and not a URL object'],
  ['https', new URL('https://127.0.0.1:80'), 'is https://127.0.0.1/'.slice(0, 20)],
  ['another protocol', new URL('ftp://127.0.0.1'), 'is ftp://127.0.0.1/'],
  ['a path', new URL('http://127.0.0.1:81/app'), 'is http://127.0.0.1:81/app'],
  ['a socket without a path', new URL('unix:app.sock'), 'is unix:app.sock'],
])('an endpoint whose URL is %s fails the wake with what is wrong', async (_name, url, problem) => {
  const driver = new FakeDriver()
  const errors: string[] = []
  const observer = { error: (error: Error, key?: string) => void errors.push(`${key}: ${error.message}`) }
  const activator = await createActivator({ driver, observer })
  const asked = activator.acquire('app').catch((error: unknown) => error)
  await settle()
  driver.emit('app', { ready: [withUrl(url)] })
  const message = expect.stringContaining(`the endpoint a, whose \`url\` ${problem}`) as string
  expect(await asked).toMatchObject({ failure: { code: 'SCALER_ENDPOINT_INVALID', message } })
  expect(errors[0]).toMatch(/^app: The driver reported the endpoint a/)
  await activator.close()
})

test('the endpoints that can be used are used', async () => {
  const driver = new FakeDriver()
  const activator = await createActivator({ driver })
  const asked = activator.acquire('app')
  await settle()
  driver.emit('app', { ready: [withUrl('http://127.0.0.1'), { id: 'b', url: new URL('http://[::1]:80') }] })
  const lease = await asked
  expect(lease.endpoint.id).toBe('b')
  lease.release()
  await activator.close()
})

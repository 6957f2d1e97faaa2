import { randomBytes } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { DEFAULT_LIMITS, MIB } from '../limits.ts'
import { packStartRequest } from './start-request.ts'
import { assetOf, specOf } from './test/specs.ts'

const withFile = (text: string): ReturnType<typeof specOf> => ({
  ...specOf('a.1.0'),
  files: { 'app.py': text },
})

test.each(['serve', 'check'] as const)('has everything that a pod needs to %s', async (mode) => {
  const { files, entrypoint, env } = specOf('a.1.0')
  const logo = assetOf('static/logo.png', Buffer.from([1, 2, 3]))
  const { body, assets } = await packStartRequest({ ...specOf('a.1.0'), assets: [logo] }, mode)
  expect(assets).toEqual([logo])
  expect(JSON.parse(gunzipSync(body).toString())).toEqual({
    mode,
    files,
    assets: [{ path: 'static/logo.png', bytes: 3, sha256: logo.sha256 }],
    entrypoint,
    env,
    limits: {
      file_bytes: DEFAULT_LIMITS.fileBytes,
      open_files: DEFAULT_LIMITS.openFiles,
      start_seconds: DEFAULT_LIMITS.startSeconds,
    },
  })
})

test('has the limits of the app, and as much time', async () => {
  const limits = { fileBytes: 5, startSeconds: 300 }
  const { body, timeout } = await packStartRequest({ ...specOf('a.1.0'), limits }, 'serve')
  expect(JSON.parse(gunzipSync(body).toString())).toMatchObject({
    limits: { file_bytes: 5, open_files: DEFAULT_LIMITS.openFiles, start_seconds: 300 },
  })
  expect(timeout).toBeGreaterThan(300_000)
})

test('is refused for an app with an artifact, which nothing mounts', async () => {
  const artifacts = [{ kind: 'python-packages', digest: 'ab12' }] as const
  await expect(packStartRequest({ ...specOf('a.1.0'), artifacts }, 'serve')).rejects.toThrow(
    'The app needs the artifact python-packages ab12, which this runtime cannot mount.',
  )
})

test('lets an app with storage fill it with one file', async () => {
  const { body } = await packStartRequest({ ...specOf('a.1.0'), storage: true }, 'serve')
  expect(JSON.parse(gunzipSync(body).toString())).toMatchObject({ limits: { file_bytes: 2 ** 40 } })
})

test('is as large as Kubernetes keeps it, and no larger', async () => {
  // As many bytes of base64 as the limits of the platform allow to be there, which compress to three quarters.
  const { body } = await packStartRequest(withFile(randomBytes(375_000).toString('base64')), 'serve')
  expect(body.length).toBeLessThan(MIB)
  const large = withFile(randomBytes(1_500_000).toString('base64'))
  await expect(packStartRequest(large, 'serve')).rejects.toThrow(
    /^The app's files and environment are \d+ bytes when compressed; Kubernetes keeps at most 1048576\. Remove some\.$/,
  )
})

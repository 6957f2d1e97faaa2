import type { UploadAnswer } from '@fp/sdk/wire'
import { request } from 'node:http'
import type { Front, TestUser } from './user.ts'

/** Uploads files of any content into an app's draft. */
export async function upload(
  front: Front,
  user: TestUser,
  appId: string,
  files: Readonly<Record<string, Buffer>>,
): Promise<UploadAnswer> {
  const form = new FormData()
  for (const [path, content] of Object.entries(files)) form.append(path, new Blob([new Uint8Array(content)]))
  const response = await fetch(`${front.url}/api/apps/${appId}/assets`, {
    method: 'POST',
    headers: { authorization: `Bearer ${user.token}` },
    body: form,
  })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`upload: ${response.status} ${text}`)
  return JSON.parse(text) as UploadAnswer
}

/** The bytes that the app answers with. */
export function bytesOf(front: Front, appId: string, path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const headers = { host: `app-${appId}.${front.appDomain}` }
    request({ host: front.address, port: front.port, path, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).once('error', reject)
      response.once('end', () => resolve(Buffer.concat(chunks)))
    })
      .once('error', reject)
      .end()
  })
}

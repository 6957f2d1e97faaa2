import { request } from 'node:http'
import type { Front } from './user.ts'

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

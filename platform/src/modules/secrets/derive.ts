import { createHmac } from 'node:crypto'

/** A key for one purpose, the same at each start. The master key cannot be derived from it. 32 bytes in hex. */
export function deriveKey(secretKey: Buffer, purpose: string): string {
  return createHmac('sha256', secretKey).update(purpose).digest('hex')
}

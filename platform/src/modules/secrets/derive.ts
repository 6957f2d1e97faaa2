import { createHmac } from 'node:crypto'

/** A key for one purpose, the same at each start; the master key cannot be told from it. Hex, 32 bytes. */
export function deriveKey(secretKey: Buffer, purpose: string): string {
  return createHmac('sha256', secretKey).update(purpose).digest('hex')
}

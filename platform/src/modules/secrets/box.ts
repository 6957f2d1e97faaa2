import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** Encrypts ("seals") short texts for storage. A sealed text can be opened only with the context that it was sealed with. */
export interface SecretBox {
  seal(text: string, context: string): string
  /** Throws a `BoxError` when the key, the context or the text is not the one it was sealed with. */
  open(sealed: string, context: string): string
  /** The number of UTF-8 bytes of the sealed text's content, without opening it. */
  sizeOf(sealed: string): number
}

export class BoxError extends Error {
  override readonly name = 'BoxError'
}

const ALGORITHM = 'aes-256-gcm'
/** The format's version. Another algorithm or layout gets another prefix, so that texts in both formats stay readable. */
const PREFIX = 'v1.'
/** Bytes. The nonce length that GCM is specified for (NIST SP 800-38D, 8.2.2: random). */
const NONCE = 12
const TAG = 16

/** AES-256-GCM. A sealed text is `v1.` + base64url(nonce ‖ ciphertext ‖ tag). */
export function createSecretBox(key: Buffer): SecretBox {
  if (key.length !== 32) throw new BoxError(`the secret key has ${key.length} bytes; it must have 32`)
  return {
    seal(text, context) {
      const nonce = randomBytes(NONCE)
      const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(Buffer.from(context))
      const body = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return PREFIX + body.toString('base64url')
    },
    sizeOf: (sealed) =>
      Math.max(0, Buffer.byteLength(sealed.slice(PREFIX.length), 'base64url') - NONCE - TAG),
    open(sealed, context) {
      if (!sealed.startsWith(PREFIX)) throw new BoxError('the sealed text has an unknown format')
      const body = Buffer.from(sealed.slice(PREFIX.length), 'base64url')
      if (body.length < NONCE + TAG) throw new BoxError('the sealed text is too short')
      const decipher = createDecipheriv(ALGORITHM, key, body.subarray(0, NONCE), { authTagLength: TAG })
        .setAAD(Buffer.from(context))
        .setAuthTag(body.subarray(-TAG))
      try {
        return decipher.update(body.subarray(NONCE, -TAG), undefined, 'utf8') + decipher.final('utf8')
      } catch (cause) {
        throw new BoxError('the sealed text was changed, or sealed with another key or context', { cause })
      }
    },
  }
}

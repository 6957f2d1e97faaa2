import { expect, test } from 'vitest'
import type { ProxySession } from './session.ts'
import { upstreamError } from './upstream-error.ts'

function judge(error: object): { code: string; message: string; reports: string[] } {
  const reports: string[] = []
  const session = {
    report: (fault: string) => void reports.push(fault),
    limits: { responseTimeout: 300_000 },
  } as unknown as ProxySession
  const { code, message } = upstreamError(Object.assign(new Error('test'), error), session)
  return { code, message, reports }
}

test.each([
  // undici's error for an unexpected end, and Node's errors for failed system calls.
  { code: 'UND_ERR_SOCKET' },
  { code: 'ECONNRESET' },
  { code: 'ECONNRESET', syscall: 'read' },
  { code: 'EPIPE', syscall: 'write' },
  { code: 'ETIMEDOUT', syscall: 'read' },
  { code: 'EHOSTUNREACH', syscall: 'read' },
])('a broken connection is reported as a reset of the endpoint: $code $syscall', (error) => {
  expect(judge(error)).toMatchObject({ code: 'SCALER_UPSTREAM_RESET', reports: ['reset'] })
})

test.each(['HPE_INVALID_CONSTANT', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH'])(
  'what is no HTTP is the app’s own fault, and says nothing of its endpoint: %s',
  (code) => {
    expect(judge({ code })).toMatchObject({ code: 'SCALER_UPSTREAM_INVALID', reports: [] })
  },
)

test.each(['UND_ERR_HEADERS_OVERFLOW', 'HPE_HEADER_OVERFLOW'])(
  'a head that is too large has a code of its own: %s',
  (code) => {
    expect(judge({ code })).toMatchObject({ code: 'SCALER_UPSTREAM_HEAD_TOO_LARGE', reports: [] })
  },
)

test('a response that takes too long is reported as a timeout, and the error states the limit', () => {
  expect(judge({ code: 'UND_ERR_HEADERS_TIMEOUT' })).toEqual({
    code: 'SCALER_UPSTREAM_TIMEOUT',
    message: 'The app did not answer within 300 s.',
    reports: ['timeout'],
  })
})

import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import { createRequestIds } from './request-id.ts'

const OURS = /^req_[0-9a-z]{12}$/

function request(given: string): IncomingMessage {
  return Object.assign(new IncomingMessage(new Socket()), { headers: { 'x-request-id': given } })
}

describe('the id of a request', () => {
  it.each([
    ['abc-1.2_3', true],
    ['a'.repeat(64), true],
    ['a'.repeat(65), false],
    ['with space', false],
    ['<script>', false],
    ['', false],
  ])('%j from a trusted proxy is taken over: %s', (given, taken) => {
    const id = createRequestIds(() => true)(request(given))
    if (taken) expect(id).toBe(given)
    else expect(id).toMatch(OURS)
  })

  it('is never the client’s own without a trusted proxy', () => {
    expect(createRequestIds(() => false)(request('abc'))).toMatch(OURS)
  })

  it('stays the same, and is another one for another request', () => {
    const idOf = createRequestIds(() => false)
    const [one, two] = [request('a'), request('a')]
    expect(idOf(one)).toBe(idOf(one))
    expect(idOf(one)).not.toBe(idOf(two))
  })
})

import { Timestamp, type Db } from 'mongodb'
import { expect, test } from 'vitest'
import { after, presentInstant } from './follow.ts'

const answering = (answer: object): Db => ({ command: () => Promise.resolve(answer) }) as unknown as Db

test('a stream begins behind the newest write', async () => {
  const operationTime = new Timestamp({ t: 1_795_899_850, i: 25 })
  const begins = after(await presentInstant(answering({ ok: 1, operationTime })))
  expect(begins).toEqual(new Timestamp({ t: 1_795_899_850, i: 26 }))
})

test('what MongoDB answers in its first moments is no instant, and the error says so', async () => {
  await expect(presentInstant(answering({ ok: 1 }))).rejects.toThrow('has just been started')
})

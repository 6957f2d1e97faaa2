import { Timestamp, type Db } from 'mongodb'
import { expect, test } from 'vitest'
import { after, presentInstant } from './follow.ts'

const answering = (answer: object): Db => ({ command: () => Promise.resolve(answer) }) as unknown as Db

test('a stream begins after the newest write', async () => {
  const operationTime = new Timestamp({ t: 1_795_899_850, i: 25 })
  const begins = after(await presentInstant(answering({ ok: 1, operationTime })))
  expect(begins).toEqual(new Timestamp({ t: 1_795_899_850, i: 26 }))
})

test('a MongoDB that was just started is asked until it knows its newest write', async () => {
  const operationTime = new Timestamp({ t: 1_795_899_850, i: 25 })
  const answers = [{ ok: 1 }, { ok: 1 }, { ok: 1, operationTime }]
  const db = { command: () => Promise.resolve(answers.shift()) } as unknown as Db
  expect(await presentInstant(db)).toEqual(operationTime)
  expect(answers).toEqual([])
})

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPlatform, type PlatformUnderTest } from '../harness/platform.ts'
import { TestUser } from '../harness/user.ts'
import { ATTACKS_MONGOD } from './apps.ts'

/** One tenant exhausts MongoDB's shared resources while another one writes and reads. */

let platform: PlatformUnderTest
let mallory: TestUser
let ada: TestUser
let attacker: string
let victim: string

const VICTIM = `import itertools
import os
from fastapi import FastAPI
from pymongo import MongoClient

app = FastAPI()
client = MongoClient(os.environ["PLATFORM_MONGO_URI"], serverSelectionTimeoutMS=5000)
requests = itertools.count()
kept = []


@app.get("/")
def write_and_read() -> str:
    session = client.start_session()
    notes = client.get_default_database().notes
    made = notes.insert_one({"text": "x" * 100}, session=session)
    found = notes.find_one({"_id": made.inserted_id}, session=session)
    if next(requests) % 5:
        session.end_session()
    else:
        # The next request needs another session, as ended sessions are reused.
        kept.append(session)
    return "well" if found else "lost"
`

beforeAll(async () => {
  platform = await startPlatform({ env: { FP_ALLOWED_IMPORTS: 'ctypes,gc,socket' } })
  ada = await TestUser.signUp(platform, 'ada')
  mallory = await TestUser.signUp(platform, 'mallory')
  victim = (await ada.liveApp({ code: VICTIM })).app_id
  attacker = (await mallory.liveApp({ code: ATTACKS_MONGOD })).app_id
})
afterAll(async () => {
  await platform[Symbol.asyncDispose]()
})

/** Runs the attack and returns its result. The other tenant and the platform must not be affected. */
async function under(attack: string): Promise<string> {
  let over = false
  const attacking = mallory.call(attacker, `/${attack}`).finally(() => (over = true))
  const answers: string[] = []
  const seen = new Set<string>()
  while (!over) {
    const answer = await ada.call(victim, '/')
    answers.push(answer.text)
    if (answer.text !== '"well"') seen.add(answer.text)
    if ((await fetch(`${platform.url}/readyz`)).status !== 200) seen.add('not ready')
  }
  const result = (await attacking).text
  console.log(`${attack}: ${result.slice(0, 300)}; ${answers.length} requests of the neighbour`)
  if (seen.size > 0) console.log(await linesOf(ada, victim))
  expect([...seen]).toEqual([])
  expect(answers.length).toBeGreaterThan(0)
  return result
}

async function linesOf(user: TestUser, appId: string): Promise<string> {
  const { lines } = await user.client.apps.logs(appId, { lines: 1000 })
  return lines.join('\n')
}

/** The message that the attacker gets. The relay reports at intervals, so the attack goes on until it has reported. */
async function untilTold(attack: string, reason: RegExp): Promise<void> {
  await expect
    .poll(
      async () => {
        const told = await linesOf(mallory, attacker)
        if (!reason.test(told)) await under(attack)
        return told
      },
      { timeout: 90_000, interval: 500 },
    )
    .toMatch(reason)
}

function mongodPid(): number {
  const children = readFileSync(`/proc/${platform.child.pid!}/task/${platform.child.pid!}/children`, 'utf8')
  const pids = children.split(' ').filter(Boolean).map(Number)
  return pids.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--dbpath'))!
}

test('sessions without end', async () => {
  expect(await under('sessions')).toMatch(/^"0 of/)
  await untilTold('sessions', /refreshSessions is not allowed/)
})

test('open transactions that fill the cache', async () => {
  await under('transactions')
})

test('cursors that hold sorted results', async () => {
  const before = mongodPid()
  await untilTold('cursors', /MongoDB (closed your \d+ cursors|ended your operations and cursors)/)
  expect(mongodPid()).toBe(before)
})

test('sorts that fill the disk', async () => {
  await untilTold('spills', /temporary files/)
})

test('indexes without end', async () => {
  await untilTold('indexes', /some 300 collections and indexes within 60 s/)
})

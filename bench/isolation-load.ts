/** The load of the isolation benchmark, in a process of its own so that it does not disturb the measurement. */
import { setTimeout as wait } from 'node:timers/promises'
import { largestDraft } from './lib.ts'

const LOGINS = 20
const [url = '', token = '', username = '', seconds = '8'] = process.argv.slice(2)

/** Whether the call succeeded. The API refuses calls that one address sends too fast. */
async function post(path: string, body: string): Promise<boolean> {
  const response = await fetch(`${url}/api${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body,
  })
  await response.arrayBuffer()
  if (response.status === 429) return false
  if (!response.ok) throw new Error(`${path}: ${response.status}`)
  return true
}

const end = Date.now() + Number(seconds) * 1000
const draft = JSON.stringify({ files: largestDraft() })
const login = JSON.stringify({ username, password: 'correct horse battery' })
let validations = 0
let logins = 0
await Promise.all([
  (async () => {
    while (Date.now() < end) {
      if (await post('/validate', draft)) validations++
      else await wait(1_000)
    }
  })(),
  (async () => {
    while (Date.now() < end) {
      const second = wait(1_000)
      const done = await Promise.all(Array.from({ length: LOGINS }, () => post('/auth/login', login)))
      logins += done.filter(Boolean).length
      await second
    }
  })(),
])
console.log(JSON.stringify({ validations, logins }))

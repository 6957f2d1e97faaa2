import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createFailureLog } from './failure-log.ts'

const LEVELS = { debug: 20, info: 30, warn: 40 }

test.each([
  ['FP_APP_OUT_OF_MEMORY', 'The app used more than its 512 MiB of memory and was ended.', LEVELS.info],
  ['FP_APP_IMPORT_FAILED', 'Your app raised KeyError: 1 in app.py line 3', LEVELS.info],
  ['FP_CLUSTER_FULL', 'The cluster has no room for the app.', LEVELS.warn],
  ['SCALER_SCALE_FAILED', 'EMFILE', LEVELS.warn],
  ['SCALER_GROUP_FAILED', 'no such app', LEVELS.warn],
  ['SCALER_CLOSED', 'The activator is shutting down.', LEVELS.debug],
])('%s is one line with its message and no stack or traceback', (code, message, level) => {
  const lines: object[] = []
  const log = pino(
    { base: null, timestamp: false, level: 'debug' },
    { write: (line: string) => lines.push(JSON.parse(line)) },
  )
  createFailureLog(log).failed('a.1.1', { code, message, details: { traceback: 'Traceback' } })
  expect(lines).toEqual([{ level, target: 'a.1.1', code, msg: `an app failed: ${message}` }])
})

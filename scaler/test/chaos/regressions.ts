import type { Step } from './steps.ts'

/** What broke the library once, shrunk: each is walked again by every run. */
export const REGRESSIONS: Readonly<Record<string, readonly Step[]>> = {
  'the places at a crashed endpoint counted against those of its successor': [
    { do: 'ask', member: 1, app: 1, bytes: 0 },
    { do: 'advance', ms: 0 },
    { do: 'crash', app: 1 },
    { do: 'ask', member: 1, app: 1, bytes: 0 },
    { do: 'release', nth: 0 },
  ],
  'a second member that woke the target asked for fewer replicas than the first had decided on': [
    { do: 'ask', member: 1, app: 0, bytes: 0 },
    { do: 'delays', acceptance: 0, start: 0, news: 0, store: 1 },
    { do: 'ask', member: 1, app: 0, bytes: 0 },
    { do: 'ask', member: 1, app: 0, bytes: 0 },
    { do: 'scale', app: 0, max: 2, min: 0 },
    { do: 'ask', member: 0, app: 0, bytes: 0 },
    { do: 'release', nth: 0 },
  ],
  'a drain that was called off took the endpoints of another’s life for dead': [
    { do: 'ask', member: 0, app: 1, bytes: 0 },
    { do: 'ask', member: 1, app: 1, bytes: 0 },
    { do: 'cut', member: 0 },
    { do: 'delays', acceptance: 0, start: 0, news: 0, store: 1 },
    { do: 'ask', member: 1, app: 1, bytes: 0 },
    { do: 'scale', app: 1, max: 2, min: 0 },
    { do: 'advance', ms: 0 },
    { do: 'crash', app: 1 },
    { do: 'advance', ms: 20_004 },
    { do: 'ask', member: 0, app: 1, bytes: 0 },
    { do: 'release', nth: 0 },
  ],
  'an answer that was older than the news hid that a retirement could go on': [
    { do: 'ask', member: 0, app: 0, bytes: 0 },
    { do: 'advance', ms: 2_000 },
    { do: 'cut', member: 1 },
    { do: 'advance', ms: 1 },
    { do: 'ask', member: 1, app: 0, bytes: 0 },
    { do: 'deploy', member: 1, app: 0 },
    { do: 'advance', ms: 40_000 },
    { do: 'release', nth: 0 },
  ],
  'a request got the inner error of a share that its drain had given up': [
    { do: 'ask', member: 0, app: 2, bytes: 0 },
    { do: 'advance', ms: 0 },
    { do: 'refusing', on: true },
    { do: 'delays', acceptance: 0, start: 0, news: 1, store: 0 },
    { do: 'crash', app: 2 },
    { do: 'ask', member: 0, app: 2, bytes: 0 },
    { do: 'abort', nth: 0 },
  ],
}

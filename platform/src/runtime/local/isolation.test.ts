import { expect, test } from 'vitest'
import { refusal, weakness } from './isolation.ts'
import type { IsolationReport } from './protocol.ts'

type Way = NonNullable<IsolationReport['network']>['way']

function report(way: Way, lost: Record<string, string> = {}, minimum = true): IsolationReport {
  const mechanisms = Object.fromEntries(
    ['network', 'seccomp', 'cpu_cgroup'].map((mechanism) => [mechanism, !lost[mechanism]]),
  )
  const missing = Object.entries(lost).map(([mechanism, why]) => ({ mechanism, why, effect: 'bad' }))
  return { mechanisms, missing, minimum, network: { way, notes: [] } }
}

test('a limit on what apps reach that cannot be enforced is refused', () => {
  expect(refusal(report('refused', { network: 'no nft' }))).toMatch(
    /cannot enforce it: no nft.*FP_EGRESS=int/,
  )
  for (const way of ['filtered', 'isolated', 'shared'] as const) expect(refusal(report(way))).toBeUndefined()
})

test('a later manager that isolates apps at least as well as the first one replaces it', () => {
  for (const way of ['filtered', 'isolated', 'shared'] as const) {
    expect(weakness(report(way), report(way))).toBeUndefined()
  }
  const poor = report('shared', { network: 'the lock is taken', seccomp: 'no' }, false)
  expect(weakness(poor, report('filtered'))).toBeUndefined()
})

test('a later manager that isolates apps less does not', () => {
  const first = report('filtered')
  expect(weakness(first, report('shared', { network: 'nft does not answer' }))).toMatch(
    /no network \(nft does not answer\).*shared, was filtered/,
  )
  expect(weakness(report('isolated'), report('refused', { network: 'fork failed' }))).toMatch('fork failed')
  expect(weakness(first, report('filtered', { cpu_cgroup: 'no room' }))).toMatch('no cpu_cgroup (no room)')
  expect(weakness(first, report('filtered', {}, false))).toMatch('minimum')
})

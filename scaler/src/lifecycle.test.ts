import { expect, it } from 'vitest'
import { Lifecycle } from './lifecycle.ts'
import type { TargetPhase } from './types.ts'

const walk = (...phases: TargetPhase[]): Lifecycle => {
  const lifecycle = new Lifecycle(() => undefined)
  for (const phase of phases) lifecycle.enter(phase)
  return lifecycle
}

it('a run from waking to asleep has two generations: that of the wake and that of the scale-down', () => {
  const lifecycle = walk()
  const run = ['waking', 'awake', 'draining', 'asleep'] as const
  expect(run.map((phase) => lifecycle.enter(phase))).toEqual([1, 1, 2, 2])
})

it.each([
  [['awake'], 1],
  [['waking', 'asleep'], 2],
  [['waking', 'draining'], 2],
  [['awake', 'asleep'], 2],
  [['draining', 'draining'], 2],
] as const)('%j has %i generations', (phases, generations) => {
  expect(walk(...phases).generation).toBe(generations)
})

it.each([
  [[], 'asleep'],
  [['waking'], 'waking'],
  [['awake'], 'waking'],
  [['awake'], 'awake'],
  [['draining'], 'waking'],
  [['draining'], 'awake'],
] as const)('after %j, %s is a mistake of the caller', (phases, next) => {
  const lifecycle = walk(...phases)
  const { phase, generation } = lifecycle
  expect(() => lifecycle.enter(next)).toThrow(`A target that is ${phase} cannot be ${next} next.`)
  expect(lifecycle).toMatchObject({ phase, generation })
})

it('tells its target which phase it has entered, once it has', () => {
  const seen: TargetPhase[] = []
  const lifecycle: Lifecycle = new Lifecycle((phase) => seen.push(phase, lifecycle.phase))
  lifecycle.enter('waking')
  expect(seen).toEqual(['waking', 'waking'])
})

import type { AppFailure, DeploymentEvent, DeploymentStage } from '@fp/sdk/wire'
import { expect, test } from 'vitest'
import { advance, begin, elapsed, total, type Progress } from './stages.ts'

const START = Date.parse('2026-01-01T00:00:00.000Z')
const event = (stage: DeploymentStage, ms: number, more: Partial<DeploymentEvent> = {}): DeploymentEvent => ({
  deployment_id: 'd',
  stage,
  at: new Date(START + ms).toISOString(),
  ...more,
})
const play = (...events: DeploymentEvent[]): Progress => events.reduce(advance, begin())
const states = (progress: Progress): string => progress.steps.map((step) => step.state).join(' ')

test('begins with the validation', () => {
  expect(states(begin())).toBe('active waiting waiting waiting')
})

test('walks through the stages and times them', () => {
  const progress = play(
    event('validating', 0),
    event('creating', 40),
    event('starting', 60),
    event('ready', 360),
  )
  expect(progress.outcome).toBe('ready')
  expect(states(progress)).toBe('done done done done')
  expect(progress.steps.map(elapsed)).toEqual([40, 20, 300, 0])
  expect(total(progress)).toBe(360)
})

test('a stage with a second event continues, with the newer message', () => {
  const progress = play(
    event('validating', 0),
    event('starting', 60),
    event('starting', 500, { message: 'The node has the image.' }),
    event('ready', 860),
  )
  expect(elapsed(progress.steps[2]!)).toBe(800)
  expect(progress.steps[2]!.message).toBe('The node has the image.')
})

test('a failure marks the stage under way and stays', () => {
  const failure = { message: 'KeyError' } as AppFailure
  const progress = play(event('validating', 0), event('starting', 60), event('failed', 90, { failure }))
  expect(states(progress)).toBe('done done failed waiting')
  expect(progress.failure).toBe(failure)
  expect(advance(progress, event('ready', 100))).toBe(progress)
})

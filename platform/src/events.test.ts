import { expect, test } from 'vitest'
import { Events, type PlatformEvent } from './events.ts'

const target = { userId: 'u', appId: 'a', version: 1, revision: 1 }

test('a listener that throws neither stops the emitter nor keeps the event from other listeners', () => {
  const errors: unknown[] = []
  const events = new Events((error, name) => void errors.push([name, (error as Error).message]))
  const seen: string[] = []
  events.onAny(() => {
    throw new Error('any')
  })
  events.onAny(({ name }: PlatformEvent) => void seen.push(`any ${name}`))
  events.on('app.woke', () => {
    throw new Error('own')
  })
  events.once('app.woke', ({ appId }) => void seen.push(`own ${appId}`))
  events.emit('app.woke', target)
  events.emit('app.woke', target)
  expect(seen).toEqual(['any app.woke', 'own a', 'any app.woke'])
  expect(errors).toEqual([
    ['app.woke', 'any'],
    ['app.woke', 'own'],
    ['app.woke', 'any'],
    ['app.woke', 'own'],
  ])
})

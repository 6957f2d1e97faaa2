import { expect, it } from 'vitest'
import { createUploadSlots } from './upload-slots.ts'

const refused = (code: string): unknown => expect.objectContaining({ code })

it('8 users with two uploads each leave every other user one', () => {
  const slots = createUploadSlots()
  const held = Array.from({ length: 16 }, (_, n) => slots.take(`u${n % 8}`))
  expect(() => slots.take('u0')).toThrow(refused('FP_TOO_MANY_REQUESTS'))
  const own = slots.take('neighbour')
  expect(() => slots.take('neighbour')).toThrow(refused('FP_UNAVAILABLE'))
  own[Symbol.dispose]()
  slots.take('neighbour')
  for (let n = 18; n <= 32; n++) slots.take(`n${n}`)
  expect(() => slots.take('one more')).toThrow(refused('FP_UNAVAILABLE'))
  held[0]![Symbol.dispose]()
  slots.take('one more')
})

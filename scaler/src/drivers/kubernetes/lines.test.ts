import fc from 'fast-check'
import { expect, test } from 'vitest'
import { linesOf } from './lines.ts'

async function* inPieces(bytes: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let from = 0
  for (const cut of [...cuts, bytes.length].map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b)) {
    yield bytes.subarray(from, cut)
    from = cut
  }
}
async function allOf(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = []
  for await (const line of lines) all.push(line)
  return all
}
const lines = (text: string, cuts: readonly number[] = [], options = {}): Promise<string[]> =>
  allOf(linesOf(inPieces(Buffer.from(text), cuts), options))

test('are the same wherever the stream is split, even within a character', async () => {
  const text = fc.array(fc.constantFrom('a', 'é', '€', '🙂', '\n', '\r', ' ')).map((parts) => parts.join(''))
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(60)), async (text, cuts) => {
      const expected = text.split('\n')
      if (expected.at(-1) === '') expected.pop()
      expect(await lines(text, cuts)).toEqual(expected)
    }),
  )
})

test('are cut off where they are too long; the next line is complete', async () => {
  const text = `${'x'.repeat(10)}\nshort\n${'y'.repeat(6)}`
  for (const cuts of [[], [3], [4], [5], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]]) {
    expect(await lines(text, cuts, { maxLength: 4 })).toEqual(['xxxx', 'shor', 'yyyy'])
  }
})

test('do not buffer more of an endless line than the maximum length', async () => {
  async function* endless(): AsyncGenerator<Uint8Array> {
    const piece = Buffer.alloc(1024 * 1024, 'x')
    for (let megabyte = 0; megabyte < 64; megabyte++) yield piece
  }
  const [line, ...others] = await allOf(linesOf(endless()))
  expect(line).toHaveLength(4 * 1024 * 1024)
  expect(others).toEqual([])
})

test('end with the error of the stream, and close the stream when the reader stops', async () => {
  let ended = 0
  async function* broken(): AsyncGenerator<Uint8Array> {
    try {
      yield Buffer.from('one\ntwo')
      throw new Error('broken')
    } finally {
      ended++
    }
  }
  const heard: string[] = []
  const listen = async (): Promise<void> => {
    for await (const line of linesOf(broken())) heard.push(line)
  }
  await expect(listen()).rejects.toThrow('broken')
  expect(heard).toEqual(['one'])
  for await (const line of linesOf(broken())) if (line) break
  expect(ended).toBe(2)
})

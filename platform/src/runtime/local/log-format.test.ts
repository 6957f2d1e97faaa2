import { expect, test } from 'vitest'
import type { LogLine } from '../logs.ts'
import { formatNote, logTag, mergeNotes, parseLog, parseNotes } from './log-format.ts'

const AT = Date.UTC(2026, 0, 2, 3, 4, 5)
const mark = (stream: 'o' | 'e', seconds: number, tag = '3.14-x1'): string =>
  `\u001e${stream}${AT + 1000 * seconds} ${tag} `
const timeAt = (seconds: number): string => new Date(AT + 1000 * seconds).toISOString()
const unmarked = (time: string | null, text: string): LogLine => ({
  time,
  stream: 'output',
  instance: null,
  version: null,
  text,
})

test('a marked line has its time, stream, instance and version', () => {
  const log = `${mark('o', 0)}hello\n${mark('e', 1, '4.15-y2')}oh no\n${mark('o', 2)}\n`
  expect(parseLog('a1', log)).toEqual([
    { time: timeAt(0), stream: 'stdout', instance: 'a1.3.14-x1', version: 3, text: 'hello' },
    { time: timeAt(1), stream: 'stderr', instance: 'a1.4.15-y2', version: 4, text: 'oh no' },
    { time: timeAt(2), stream: 'stdout', instance: 'a1.3.14-x1', version: 3, text: '' },
  ])
})

test('a line without a mark has the time of the one before it, if there is one', () => {
  const log = `of an older version\n[fp] said the platform\n${mark('o', 0)}hello\nof a subprocess\n\n`
  expect(parseLog('a1', log)).toEqual([
    unmarked(null, 'of an older version'),
    unmarked(null, '[fp] said the platform'),
    { time: timeAt(0), stream: 'stdout', instance: 'a1.3.14-x1', version: 3, text: 'hello' },
    unmarked(timeAt(0), 'of a subprocess'),
    unmarked(timeAt(0), ''),
  ])
})

test('a mark within a line begins another one: two processes have written at once', () => {
  const log = `half a line${mark('e', 0)}whole${mark('o', 1)}last\n`
  expect(parseLog('a1', log).map(({ stream, text }) => [stream, text])).toEqual([
    ['output', 'half a line'],
    ['stderr', 'whole'],
    ['stdout', 'last'],
  ])
})

test('an incomplete line is left out, and text that only resembles a mark stays text', () => {
  const like = ['\u001ex1767323045000 3.14-x a', '\u001eo17 3.14-x b', '\u001eo1767323045000 latest c']
  expect(parseLog('a1', `${like.join('\n')}\n${mark('o', 0)}under way`)).toEqual(
    like.map((text) => unmarked(null, text)),
  )
  expect(parseLog('a1', '')).toEqual([])
})

test('notes of the platform are read unchanged, except for an incomplete one', () => {
  const note = formatNote(new Date(AT), 'two\nlines')
  expect(parseNotes(`${note}{"time":"2026\n${note}`)).toEqual([note, note].map(() => noteAt(0, 'two\nlines')))
})
const noteAt = (seconds: number, text: string): LogLine => ({
  time: timeAt(seconds),
  stream: 'platform',
  instance: null,
  version: null,
  text,
})

test('notes are before the first line that is later, and lines stay in their order', () => {
  const lines = parseLog('a1', `old\n${mark('o', 2)}two\n${mark('o', 1)}one\n${mark('o', 5)}five\n`)
  const notes = [noteAt(0, 'first'), noteAt(2, 'at the same time'), noteAt(9, 'last')]
  expect(mergeNotes(lines, notes).map(({ text }) => text)).toEqual([
    'old',
    'first',
    'two',
    'one',
    'at the same time',
    'five',
    'last',
  ])
})

test('the tag of an instance is its id without the app', () => {
  expect(logTag('a1', 'a1.3.14-x1')).toBe('3.14-x1')
})

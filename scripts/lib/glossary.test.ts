import { expect, test } from 'vitest'
import { unusedTerms } from './glossary.mjs'

const glossary = (...terms: string[]): string =>
  ['| term | meaning |', '| --- | --- |', ...terms.map((term) => `| ${term} | What it is. |`)].join('\n')

test.each([
  ['warm window', 'const warmWindows = []'],
  ['warm window', 'warm_window: int'],
  ['warm window', "from './warm-window.ts'"],
  ['idle timeout', '// the idle\n * timeout'],
  ['replica (of the platform)', 'class Replica {}'],
])('%s is used in %s', (term, code) => {
  expect(unusedTerms(glossary(term), code)).toEqual([])
})

test('returns the terms that the code does not use', () => {
  expect(unusedTerms(glossary('zygote', 'warm window', 'usher'), 'zygote.fork(warm)')).toEqual([
    'warm window',
    'usher',
  ])
})

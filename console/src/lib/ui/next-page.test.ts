import { expect, test } from 'vitest'
import { nextPage } from './next-page.ts'

test.each([
  ['next=/apps/a?tab=logs', '/apps/a?tab=logs'],
  ['next=//evil.example', '/'],
  ['next=/\\evil.example', '/'],
  ['next=https://evil.example', '/'],
  ['next=javascript:alert(1)', '/'],
  ['', '/'],
])('%s leads to %s', (search, page) => expect(nextPage(new URLSearchParams(search))).toBe(page))

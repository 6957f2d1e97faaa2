import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { SETTING_NAMES } from '../../platform/src/config.ts'
import { APP_FAILURES, ERRORS } from '../../sdk/src/errors/index.ts'
import { inRoot } from './paths.mjs'
import { RUNNER_SETTINGS } from './runner-settings.mjs'

const SOURCES = ['*.ts', '*.svelte', '*.py', ':!*.test.ts', ':!*/test/*', ':!*/tests/*', ':!sdk/src/errors']
const FOLDERS = /^(platform|runner|scaler|sdk|console)\/src\//

/** Codes and settings that the sources have in quotes. */
function quotedNames(): Set<string> {
  const files = execFileSync('git', ['ls-files', '--', ...SOURCES], { cwd: inRoot(), encoding: 'utf8' })
  const names = new Set<string>()
  for (const file of files.split('\n').filter((name) => FOLDERS.test(name))) {
    const text = readFileSync(inRoot(file), 'utf8')
    for (const [, name = ''] of text.matchAll(/["'`](FP_[A-Z0-9_]+[A-Z0-9])["'`]/g)) names.add(name)
  }
  return names
}

const used = quotedNames()

test('the table has each code that the sources use', () => {
  const known = new Set([...Object.keys(ERRORS), ...SETTING_NAMES, ...RUNNER_SETTINGS])
  expect([...used].filter((name) => !known.has(name))).toEqual([])
})

test('the sources use each code of the table', () => {
  expect(Object.keys(ERRORS).filter((code) => !used.has(code))).toEqual([])
})

test('the runner reports only failures of the table', () => {
  const runner = readFileSync(inRoot('runner/src/fp_runner/failure.py'), 'utf8')
  const codes = [...runner.matchAll(/"(FP_[A-Z_]+)"/g)].map(([, code]) => code)
  expect(codes.length).toBeGreaterThan(5)
  expect(codes.filter((code) => !Object.hasOwn(APP_FAILURES, code!))).toEqual([])
})

test('the texts are sentences', () => {
  for (const [code, { owner }] of Object.entries(ERRORS)) {
    expect(owner, code).toMatch(/^[A-Z].*[.]$/)
    expect(owner, `${code} breaks the table of the page`).not.toContain('|')
  }
})

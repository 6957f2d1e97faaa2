import type { Finding } from '../wire/deployments.ts'
import { createNodeValidator } from './node.ts'
import type { ValidateOptions } from './validator.ts'

/** For tests: one validator per test file, and findings in a short form. */
export const validator = await createNodeValidator()

export const APP = 'from fastapi import FastAPI\napp = FastAPI()\n'

export function validate(files: Record<string, string>, options?: ValidateOptions): Finding[] {
  return validator.validate(files, options)
}

/** Findings as `file:line rule`; only of the given rules, if any are given. */
export function places(files: Record<string, string>, ...rules: string[]): string[] {
  return validate(files)
    .filter(({ rule }) => rules.length === 0 || rules.includes(rule))
    .map(({ file, line, rule }) => `${file}:${line} ${rule}`)
}

/** The errors of a file `x.py` that a valid app imports. */
export function errorsOf(code: string, others: Record<string, string> = {}): Finding[] {
  return validate({ 'app.py': `${APP}import x\n`, ...others, 'x.py': code }).filter(
    ({ severity }) => severity === 'error',
  )
}

import { shown } from './as-error.ts'

/** What an option may be. `text` completes the sentence "… must be". */
export interface Rule {
  readonly holds: (value: unknown) => boolean
  readonly text: string
  readonly isNumber?: boolean
}

const numbers = (holds: (value: number) => boolean, text: string): Rule => ({
  holds: (value) => typeof value === 'number' && holds(value),
  text,
  isNumber: true,
})

export const atLeast = (least: number): Rule =>
  numbers((value) => Number.isInteger(value) && value >= least, `a whole number of at least ${least}`)
export const orInfinity = ({ holds, text }: Rule): Rule => ({
  holds: (value) => value === Infinity || holds(value),
  text: `${text}, or Infinity`,
  isNumber: true,
})
export const moreThan = (least: number): Rule =>
  numbers((value) => Number.isFinite(value) && value > least, `a number of more than ${least}`)
export const delay = (least: number): Rule =>
  numbers((value) => Number.isFinite(value) && value >= least, `a number of at least ${least} ms`)
export const fraction: Rule = numbers((value) => value > 0 && value <= 1, 'more than 0 and at most 1')
export const aFunction: Rule = { holds: (value) => typeof value === 'function', text: 'a function' }
export const aString: Rule = {
  holds: (value) => typeof value === 'string' && value !== '',
  text: 'a string that is not empty',
}
export const optional = (rule: Rule): Rule => ({
  ...rule,
  holds: (value) => value === undefined || rule.holds(value),
})
export const either = (one: Rule, other: Rule): Rule => ({
  ...one,
  holds: (value) => one.holds(value) || other.holds(value),
  text: `${one.text}, or ${other.text}`,
})

/** Throws an error that names the option that is wrong, what is allowed, and its value: for numbers a RangeError, else a TypeError. */
export function check(prefix: string, values: object, rules: Readonly<Record<string, Rule>>): void {
  for (const [name, rule] of Object.entries(rules)) {
    const value = (values as Readonly<Record<string, unknown>>)[name]
    if (rule.holds(value)) continue
    const message = `${prefix}${name} must be ${rule.text}, but is ${shown(value)}.`
    throw rule.isNumber ? new RangeError(message) : new TypeError(message)
  }
}

/** Throws a TypeError for a field that does not exist: it is probably misspelt. */
export function checkNames(prefix: string, values: object, names: readonly string[]): void {
  for (const name of Object.keys(values))
    if (!names.includes(name))
      throw new TypeError(`${prefix}${name} does not exist. The fields are ${names.join(', ')}.`)
}

/** Throws a TypeError if the value is not an object. */
export function checkObject(name: string, value: unknown, text = 'an object'): asserts value is object {
  if (typeof value !== 'object' || value === null)
    throw new TypeError(`${name} must be ${text}, but is ${shown(value)}.`)
}

/** `own`, with the defaults of the fields that are not set or undefined. */
export function withDefaults<T extends object>(defaults: T, own: Settings<T>): T {
  const all: T = { ...defaults }
  for (const [name, value] of Object.entries(own))
    if (value !== undefined) all[name as keyof T] = value as T[keyof T]
  return all
}

/** All fields of T are optional, and may be undefined. */
export type Settings<T> = { readonly [K in keyof T]?: T[K] | undefined }

import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { FpError } from '../errors.ts'

/** Limit for the details of one error. */
const MAX_DETAILS = 50
/** Limit for the length of a field's name, which may come from the request. */
const MAX_NAME = 200

/** An error of TypeBox, which has the shape of ajv's. */
interface SchemaError {
  readonly keyword?: string
  readonly instancePath?: string
  readonly params?: Record<string, unknown>
  readonly message?: string
  /** The schema's description of its pattern. It completes "must be …". */
  readonly pattern?: string | undefined
}

/**
 * Checks with TypeBox's own compiler, so that the check and the types have one source. Nothing is converted or removed, except
 * that query strings and path parameters, which are always text, become numbers and booleans if the schema requires it. The
 * schema is compiled at the first check.
 */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  let compiled: ReturnType<typeof Compile> | undefined
  const isText = httpPart === 'querystring' || httpPart === 'params'
  return (data: unknown) => {
    const validator = (compiled ??= Compile(schema))
    const filled = validator.Default(data)
    const value = isText ? validator.Convert(filled) : filled
    if (validator.Check(value)) return { value }
    const patterns = patternsIn(schema)
    const errors = (validator.Errors(value) as SchemaError[]).map((error) => ({
      ...error,
      pattern: patterns.get(String(error.params?.['pattern'])),
    }))
    return { error: errors as unknown as Error }
  }
}

/** The descriptions of the schema's patterns, so that no error message shows a regular expression. */
function patternsIn(schema: unknown, found = new Map<string, string>()): Map<string, string> {
  if (schema === null || typeof schema !== 'object') return found
  const { pattern, description } = schema as { pattern?: unknown; description?: unknown }
  if (typeof pattern === 'string' && typeof description === 'string') found.set(pattern, description)
  for (const inner of Object.values(schema)) patternsIn(inner, found)
  return found
}

/** An error with one detail for each wrong field. */
export function invalidFields(errors: readonly SchemaError[], context = 'body'): FpError {
  const where = context === 'querystring' ? 'query' : context
  const details = new Map<string, string>()
  for (const error of errors) {
    for (const { field, message } of explain(error)) if (!details.has(field)) details.set(field, message)
  }
  const list = [...details]
    .slice(0, MAX_DETAILS)
    .map(([field, message]) => ({ field: field || where, message }))
  const text = list
    .map(({ field, message }) => `${field} ${message}`)
    .slice(0, 3)
    .join('; ')
  const more = details.size > 3 ? ` and ${details.size - 3} more` : ''
  const message = details.has('')
    ? `The ${where} ${details.get('')}.`
    : `${where === 'body' ? '' : `In the ${where}: `}${text}${more}.`
  return new FpError('FP_INVALID_FIELDS', message, { details: list })
}

function explain(error: SchemaError): { field: string; message: string }[] {
  const field = (error.instancePath ?? '')
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .join('.')
    .slice(0, MAX_NAME)
  const below = (name: string): string => (field ? `${field}.${name}` : name)
  const { keyword, params = {} } = error
  if (keyword === 'required') {
    return names(params['requiredProperties']).map((name) => ({ field: below(name), message: 'is missing' }))
  }
  if (keyword === 'additionalProperties') {
    return names(params['additionalProperties']).map((name) => ({
      field: below(name),
      message: 'is not known here',
    }))
  }
  // The error of `additionalProperties: false` for each unknown name.
  if (keyword === 'boolean') return [{ field, message: 'is not known here' }]
  if (keyword === 'format') return [{ field, message: `must be a valid ${String(params['format'])}` }]
  if (keyword === 'pattern') {
    return [
      { field, message: `must be ${error.pattern ?? `text that matches ${String(params['pattern'])}`}` },
    ]
  }
  return [{ field, message: WORDS[keyword ?? '']?.(params) ?? error.message ?? 'is wrong' }]
}

const TYPES: Readonly<Record<string, string>> = {
  array: 'a JSON array',
  boolean: 'true or false',
  integer: 'a whole number',
  null: 'null',
  number: 'a number',
  object: 'a JSON object',
  string: 'text',
}

const counted = (count: unknown, noun: string): string => `${String(count)} ${noun}${count === 1 ? '' : 's'}`

/** Texts for the rules of a schema. They follow the field's name. */
const WORDS: Readonly<Record<string, (params: Record<string, unknown>) => string>> = {
  type: ({ type }) => `must be ${TYPES[String(type)] ?? `of the type ${String(type)}`}`,
  minLength: ({ limit }) =>
    limit === 1 ? 'must not be empty' : `must have at least ${counted(limit, 'character')}`,
  maxLength: ({ limit }) => `must have at most ${counted(limit, 'character')}`,
  minimum: ({ limit }) => `must be at least ${String(limit)}`,
  maximum: ({ limit }) => `must be at most ${String(limit)}`,
}

/** Limits the names, which come from the request, in number and length. */
function names(value: unknown): string[] {
  const list = Array.isArray(value) ? value : value === undefined ? [] : [value]
  return list.slice(0, MAX_DETAILS).map((name) => String(name).slice(0, MAX_NAME))
}

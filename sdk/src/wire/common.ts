import { Type, type TObject, type TSchema } from 'typebox'

/** The body of every answer of the API whose status is not 2xx. `code` is stable, so programs match on it. */
export const ErrorBody = Type.Object(
  {
    code: Type.String({ examples: ['FP_APP_NOT_FOUND'], description: 'One of docs/errors.md.' }),
    message: Type.String({ description: 'What went wrong, why, and how to mend it.' }),
    details: Type.Optional(Type.Unknown()),
    request_id: Type.Optional(Type.String()),
  },
  { $id: 'Error' },
)
export type ErrorBody = Type.Static<typeof ErrorBody>

/** Every list of the API has this shape; `next_cursor` is null on the last page. */
export function Page<T extends TSchema>(
  item: T,
): TObject<{ items: Type.TArray<T>; next_cursor: Type.TUnion<[Type.TString, Type.TNull]> }> {
  return Type.Object({ items: Type.Array(item), next_cursor: Type.Union([Type.String(), Type.Null()]) })
}
export interface Page<T> {
  items: T[]
  next_cursor: string | null
}

export const PageQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 50 })),
    cursor: Type.Optional(Type.String({ maxLength: 200 })),
  },
  { additionalProperties: false },
)
export type PageQuery = Type.Static<typeof PageQuery>

/** A time as ISO 8601 in UTC with milliseconds. */
export const Timestamp = Type.String({ format: 'date-time' })

import { Type } from 'typebox'
import { Timestamp } from './common.ts'

/** A user's database, which all apps of the user share. */
export const Database = Type.Object(
  {
    name: Type.Union([Type.String(), Type.Null()], {
      description: 'Null until an app of yours is started for the first time: then it is made.',
    }),
    size_bytes: Type.Integer({ description: 'Documents, and indexes as they are on disk.' }),
    limit_bytes: Type.Integer(),
    measured_at: Type.Union([Timestamp, Type.Null()]),
    state: Type.Union([Type.Literal('ok'), Type.Literal('full')], {
      description: 'full: writes are refused; reads and deletes work.',
    }),
    message: Type.Union([Type.String(), Type.Null()], { description: 'What to do when it is full.' }),
  },
  { $id: 'Database' },
)
export type Database = Type.Static<typeof Database>

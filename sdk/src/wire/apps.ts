import { Type } from 'typebox'
import { Asset } from './assets.ts'
import { Timestamp } from './common.ts'
import { ENV_LIMITS, IDLE_TIMEOUT_S, MAX_APP_NAME_LENGTH, MAX_ENTRYPOINT_LENGTH } from './limits.ts'

/** Path → text. Paths are relative, and `/` separates folders. The service checks paths and sizes, and has an error for each rule. */
export const Files = Type.Record(Type.String(), Type.String(), { description: 'Path → text of the file.' })
export type Files = Type.Static<typeof Files>

export const AppStatus = Type.Union(
  ['draft', 'deploying', 'running', 'sleeping', 'waking', 'error'].map((word) => Type.Literal(word)),
) as unknown as Type.TUnsafe<'draft' | 'deploying' | 'running' | 'sleeping' | 'waking' | 'error'>
export type AppStatus = Type.Static<typeof AppStatus>

/** The value of a variable, and whether it is secret. The API never returns a secret's value (`value: null`). */
export const EnvVarInput = Type.Object(
  {
    value: Type.String({ maxLength: ENV_LIMITS.maxValueLength }),
    secret: Type.Optional(Type.Boolean({ default: false })),
  },
  { additionalProperties: false },
)
/** The names that an environment variable may have. */
export const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const RESERVED_ENV_NAME = /^(?:PORT|PLATFORM_MONGO_URI|PLATFORM_DATA_DIR|PATH|HOME|(?:FP|LD)_.*|PYTHON.*)$/
/** Whether the platform sets this variable itself, or the variable would change what the runner loads. */
export const isReservedEnvName = (name: string): boolean => RESERVED_ENV_NAME.test(name)
/** The reserved names as a text. */
export const RESERVED_ENV_NAMES =
  'PORT, PATH, HOME, PLATFORM_MONGO_URI, PLATFORM_DATA_DIR and what begins with FP_, PYTHON or LD_'

/** Name → value, or `{value, secret}`. See ENV_LIMITS. */
export const EnvVarsInput = Type.Record(
  Type.String(),
  Type.Union([Type.String({ maxLength: ENV_LIMITS.maxValueLength }), EnvVarInput]),
)
export type EnvVarsInput = Type.Static<typeof EnvVarsInput>

export const EnvVar = Type.Object({
  name: Type.String(),
  value: Type.Union([Type.String(), Type.Null()], { description: 'null when the variable is secret.' }),
  secret: Type.Boolean(),
})
export type EnvVar = Type.Static<typeof EnvVar>

export const EntrypointText = Type.String({
  maxLength: MAX_ENTRYPOINT_LENGTH,
  description:
    'What to serve, as for uvicorn: `main:app`, `app.main:app`, `main:create_app()` (--factory), `src/main:app` (--app-dir src), or the path of a file.',
  examples: ['main:app'],
})

/** Why an app last failed. Only its owner sees it. `code` is one of docs/errors.md. */
export const AppFailure = Type.Object({
  code: Type.String(),
  message: Type.String(),
  traceback: Type.Union([Type.String(), Type.Null()]),
  file: Type.Union([Type.String(), Type.Null()]),
  line: Type.Union([Type.Integer(), Type.Null()]),
  at: Timestamp,
})
export type AppFailure = Type.Static<typeof AppFailure>

export const App = Type.Object({
  app_id: Type.String(),
  name: Type.String(),
  url: Type.String({ description: 'Where the app answers.' }),
  status: AppStatus,
  live_version: Type.Union([Type.Integer(), Type.Null()]),
  has_unpublished_changes: Type.Boolean(),
  draft_revision: Type.Integer({ description: 'Counts the saves of the draft’s files.' }),
  assets_revision: Type.Integer({ description: 'Counts the changes of the draft’s assets.' }),
  env_revision: Type.Integer({ description: 'Grows when an environment variable changes.' }),
  entrypoint: Type.Union([EntrypointText, Type.Null()], {
    description: 'What to serve, as it was set; null when it is found in the files.',
  }),
  idle_timeout_s: Type.Integer({ description: 'Seconds without a request until the app sleeps.' }),
  storage: Type.Boolean({
    description: 'Whether the app has a folder whose files last, named by PLATFORM_DATA_DIR.',
  }),
  storage_limit_bytes: Type.Integer({ description: 'What that folder holds.' }),
  last_failure: Type.Union([AppFailure, Type.Null()], {
    description: 'The newest since the live version was deployed; the app may have started well since.',
  }),
  asleep_since: Type.Union([Timestamp, Type.Null()]),
  created_at: Timestamp,
  updated_at: Timestamp,
})
export type App = Type.Static<typeof App>

export const Draft = Type.Object({
  files: Files,
  assets: Type.Array(Asset),
  revision: Type.Integer({ description: 'Send it with the next save; 409 when someone else saved since.' }),
  updated_at: Timestamp,
})
export type Draft = Type.Static<typeof Draft>

/** `GET /api/apps/{app_id}`: the app with its draft and environment. */
export const AppDetail = Type.Intersect([App, Type.Object({ draft: Draft, env_vars: Type.Array(EnvVar) })])
export type AppDetail = Type.Static<typeof AppDetail>

export const AppName = Type.String({
  minLength: 1,
  maxLength: MAX_APP_NAME_LENGTH,
  pattern: '\\S',
  description: 'a name with at least one visible character',
})
export const IdleTimeout = Type.Integer({
  minimum: IDLE_TIMEOUT_S.min,
  maximum: IDLE_TIMEOUT_S.max,
})

/** One of `files`, `code` (the text of app.py) or `template_id`. */
export const CreateAppBody = Type.Object(
  {
    name: AppName,
    files: Type.Optional(Files),
    code: Type.Optional(Type.String()),
    template_id: Type.Optional(Type.String({ maxLength: 64 })),
    entrypoint: Type.Optional(Type.Union([EntrypointText, Type.Null()])),
    env_vars: Type.Optional(EnvVarsInput),
  },
  { additionalProperties: false },
)
export type CreateAppBody = Type.Static<typeof CreateAppBody>

/** `env_vars` changes single variables: a value sets one, null removes it, and all others stay. */
export const PatchAppBody = Type.Object(
  {
    name: Type.Optional(AppName),
    idle_timeout_s: Type.Optional(IdleTimeout),
    /** Takes effect with the next deploy. Null: the platform finds it in the files. */
    entrypoint: Type.Optional(Type.Union([EntrypointText, Type.Null()])),
    storage: Type.Optional(Type.Boolean()),
    env_vars: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Union([Type.String({ maxLength: ENV_LIMITS.maxValueLength }), EnvVarInput, Type.Null()]),
      ),
    ),
  },
  { additionalProperties: false },
)
export type PatchAppBody = Type.Static<typeof PatchAppBody>

export const SaveDraftBody = Type.Object(
  { files: Files, revision: Type.Optional(Type.Integer({ minimum: 0 })) },
  { additionalProperties: false },
)
export type SaveDraftBody = Type.Static<typeof SaveDraftBody>

export const CloneAppBody = Type.Object({ name: Type.Optional(AppName) }, { additionalProperties: false })
export type CloneAppBody = Type.Static<typeof CloneAppBody>

/** A request to the app, made by the platform for the console's try-it panel. */
export const ProxyBody = Type.Object(
  {
    method: Type.Union(
      ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS'].map((m) => Type.Literal(m)),
    ) as unknown as Type.TUnsafe<'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'HEAD' | 'OPTIONS'>,
    path: Type.String({ pattern: '^/', maxLength: 8192, description: 'a path that begins with /' }),
    headers: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 8192 }))),
    body: Type.Optional(Type.String()),
  },
  { additionalProperties: false },
)
export type ProxyBody = Type.Static<typeof ProxyBody>

export const ProxyAnswer = Type.Object({
  status_code: Type.Integer(),
  headers: Type.Record(Type.String(), Type.String()),
  body: Type.String(),
  body_encoding: Type.Union([Type.Literal('text'), Type.Literal('base64')], {
    description: 'base64 where the answer is no text, such as a picture.',
  }),
  body_truncated: Type.Boolean(),
  latency_ms: Type.Number(),
  cold_start: Type.Boolean(),
})
export type ProxyAnswer = Type.Static<typeof ProxyAnswer>

/** The answer of an app as it arrives: a head, pieces of the body, and either the end or an error. */
export const CallStreamEvent = Type.Union([
  Type.Object({
    event: Type.Literal('head'),
    ...Type.Pick(ProxyAnswer, ['status_code', 'headers', 'latency_ms', 'cold_start']).properties,
  }),
  Type.Object({
    event: Type.Literal('body'),
    ...Type.Pick(ProxyAnswer, ['body', 'body_encoding']).properties,
  }),
  Type.Object({
    event: Type.Literal('end'),
    ...Type.Pick(ProxyAnswer, ['body_truncated', 'latency_ms']).properties,
  }),
  Type.Object({ event: Type.Literal('error'), code: Type.String(), message: Type.String() }),
])
export type CallStreamEvent = Type.Static<typeof CallStreamEvent>

export const LogQuery = Type.Object(
  { lines: Type.Optional(Type.Integer({ minimum: 1, maximum: 2000, default: 200 })) },
  { additionalProperties: false },
)
export type LogQuery = Type.Static<typeof LogQuery>

export const LogLines = Type.Object({ lines: Type.Array(Type.String()) })
export type LogLines = Type.Static<typeof LogLines>

export const Template = Type.Object({
  template_id: Type.String(),
  name: Type.String(),
  description: Type.String(),
  tags: Type.Array(Type.String()),
  uses_database: Type.Boolean(),
  try_path: Type.String(),
})
export type Template = Type.Static<typeof Template>
export const TemplateDetail = Type.Intersect([
  Template,
  Type.Object({ files: Files, assets: Type.Array(Asset) }),
])
export type TemplateDetail = Type.Static<typeof TemplateDetail>

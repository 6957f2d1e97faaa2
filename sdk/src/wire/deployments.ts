import { Type } from 'typebox'
import { AppFailure, EntrypointText, Files } from './apps.ts'
import { Asset } from './assets.ts'
import { Timestamp } from './common.ts'

/** A finding of the validator. Lines and columns count from 1; the end is exclusive. Only `error` blocks a deploy. */
export const Finding = Type.Object({
  file: Type.String(),
  line: Type.Integer(),
  column: Type.Integer(),
  end_line: Type.Integer(),
  end_column: Type.Integer(),
  rule: Type.String({ examples: ['syntax-error', 'import-not-allowed', 'blocked-call'] }),
  message: Type.String(),
  severity: Type.Union([Type.Literal('error'), Type.Literal('warning')]),
})
export type Finding = Type.Static<typeof Finding>

export const DeployBody = Type.Object({ files: Type.Optional(Files) }, { additionalProperties: false })
export type DeployBody = Type.Static<typeof DeployBody>

export const DeployAccepted = Type.Object({
  deployment_id: Type.String(),
  version: Type.Integer(),
  warnings: Type.Array(Finding),
})
export type DeployAccepted = Type.Static<typeof DeployAccepted>

export const DEPLOYMENT_STAGES = ['validating', 'creating', 'starting', 'ready', 'failed'] as const
export const DeploymentStage = Type.Union(
  DEPLOYMENT_STAGES.map((s) => Type.Literal(s)),
) as unknown as Type.TUnsafe<(typeof DEPLOYMENT_STAGES)[number]>
export type DeploymentStage = Type.Static<typeof DeploymentStage>

/** One step of a deployment. It is also the `data` of each server-sent event, whose `event:` is the stage. */
export const DeploymentEvent = Type.Object({
  deployment_id: Type.String(),
  stage: DeploymentStage,
  at: Timestamp,
  message: Type.Optional(Type.String()),
  failure: Type.Optional(AppFailure),
})
export type DeploymentEvent = Type.Static<typeof DeploymentEvent>

export const Deployment = Type.Object({
  deployment_id: Type.String(),
  app_id: Type.String(),
  version: Type.Integer(),
  kind: Type.Union([Type.Literal('deploy'), Type.Literal('rollback')]),
  stage: DeploymentStage,
  events: Type.Array(DeploymentEvent),
  failure: Type.Union([AppFailure, Type.Null()]),
  created_at: Timestamp,
  finished_at: Type.Union([Timestamp, Type.Null()]),
})
export type Deployment = Type.Static<typeof Deployment>

export const Version = Type.Object({
  version: Type.Integer(),
  live: Type.Boolean(),
  failed_to_start: Type.Boolean({
    description:
      'Every deployment of this version failed because the app did not start. False while none has ended.',
  }),
  entrypoint: EntrypointText,
  file_count: Type.Integer(),
  total_bytes: Type.Integer(),
  created_at: Timestamp,
})
export type Version = Type.Static<typeof Version>

/** A version with its files and assets, as they were deployed. */
export const VersionDetail = Type.Intersect([
  Version,
  Type.Object({ files: Files, assets: Type.Array(Asset) }),
])
export type VersionDetail = Type.Static<typeof VersionDetail>

export const RollbackBody = Type.Object(
  { version: Type.Integer({ minimum: 1 }) },
  { additionalProperties: false },
)
export type RollbackBody = Type.Static<typeof RollbackBody>

/** `dry_load: true` also imports the app in the sandbox when no error was found. */
export const ValidateBody = Type.Object(
  {
    files: Type.Optional(Files),
    code: Type.Optional(Type.String()),
    entrypoint: Type.Optional(EntrypointText),
    dry_load: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type ValidateBody = Type.Static<typeof ValidateBody>

export const ValidateAnswer = Type.Object({
  valid: Type.Boolean(),
  findings: Type.Array(Finding),
  entrypoint: Type.Union([EntrypointText, Type.Null()], {
    description: 'What is served; null where a finding says why nothing is.',
  }),
  failure: Type.Union([AppFailure, Type.Null()], { description: 'What the dry load raised, if anything.' }),
})
export type ValidateAnswer = Type.Static<typeof ValidateAnswer>

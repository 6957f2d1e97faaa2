import type { ValidateOptions, Validation } from '@fp/sdk/python'
import type { Files } from '@fp/sdk/wire'

/** Validates code in another process. Users are served in turn. */
export type Validate = (
  files: Files,
  options: { userId: string; signal: AbortSignal } & Pick<ValidateOptions, 'entrypoint'>,
) => Promise<Validation>

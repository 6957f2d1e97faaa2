import type { ValidateOptions, Validation } from '@fp/sdk/python'

/** The jobs of child processes, with their inputs and outputs. */
export interface Jobs {
  hash: { input: { password: string }; output: string }
  verify: { input: { hash: string; password: string }; output: boolean }
  validate: {
    input: { files: Readonly<Record<string, string>>; options: ValidateOptions }
    output: Validation
  }
  /** Loads what the first validation needs. */
  warm: { input: Record<string, never>; output: null }
}
export type JobName = keyof Jobs

export interface JobMessage<N extends JobName = JobName> {
  readonly id: number
  readonly job: N
  readonly input: Jobs[N]['input']
}

export type ResultMessage =
  | { readonly id: number; readonly ok: true; readonly output: unknown }
  | { readonly id: number; readonly ok: false; readonly message: string }

import type { Validation } from '@fp/sdk/python'
import type { Files, ValidateBody } from '@fp/sdk/wire'
import { FpError } from '../../errors.ts'
import {
  plainFailure,
  type AppFailureReport,
  type RuntimeCleanup,
  type RuntimeTrial,
} from '../../runtime/runtime.ts'
import { WorkQueue } from '../../queues/work-queue.ts'
import type { Background } from '../background.ts'
import { checkFiles, toRecord } from '../drafts/files.ts'
import type { Validate } from '../validate.ts'
import { buildSpec, type SpecDeps } from '../specs/spec.ts'

/** A load that hangs for `LOAD_LIMIT` delays only the next load of the same user. */
const LOADS = {
  name: 'dry_loads',
  work: 'dry loads',
  per: 'account',
  atOnce: 4,
  atOncePerKey: 1,
  waiting: 100,
  waitingPerKey: 5,
} as const
/** ms */
const LOAD_LIMIT = 30_000

export interface TrialServiceDeps {
  readonly validate: Validate
  readonly specs: SpecDeps
  readonly runtime: RuntimeTrial
  readonly cleanup: Pick<RuntimeCleanup, 'removeApp'>
  readonly background: Background
  readonly newId: () => string
}

export interface TrialService {
  /** Checks files that do not have to belong to an app. They are not stored. */
  run(
    userId: string,
    body: ValidateBody,
    signal: AbortSignal,
  ): Promise<Validation & { failure: AppFailureReport | null }>
}

export function createTrialService(deps: TrialServiceDeps): TrialService {
  const loads = new WorkQueue(LOADS)
  /** Each load has its own system user, as process limits count per user. Apps' sequences begin at 1, so these go down from 0. */
  const places = Array.from({ length: LOADS.atOnce }, (_, n) => 0 - n)

  async function load(
    userId: string,
    app: { files: Files; entrypoint: string },
    stop: AbortSignal,
  ): Promise<AppFailureReport | null> {
    using _turn = await loads.enter(userId, { signal: stop })
    const place = places.shift()!
    const id = `trial${deps.newId()}`
    try {
      // Runs with the author's database and without environment variables.
      const spec = await buildSpec(deps.specs, { appId: id, version: 0, revision: 0 }, userId, {
        ...app,
        assets: [],
        env: {},
        storage: false,
        sequence: place,
      })
      const result = await deps.runtime.check(spec, {
        signal: AbortSignal.any([stop, AbortSignal.timeout(LOAD_LIMIT)]),
      })
      return result.ok ? null : result.failure
    } catch (error) {
      if (stop.aborted || !isTimeout(error)) throw error
      return plainFailure(
        'FP_WAKE_TIMEOUT',
        `The app was not loaded within ${LOAD_LIMIT / 1000} s. Is there a loop, or something it waits for, at the top of a file?`,
      )
    } finally {
      places.push(place)
      deps.background.run(id, 'forget a trial load', () => deps.cleanup.removeApp(id))
    }
  }

  return {
    async run(userId, body, signal) {
      if ((body.files === undefined) === (body.code === undefined)) {
        throw new FpError(
          'FP_INVALID_FIELDS',
          'Send either files or code (the text of app.py), and not both.',
        )
      }
      const files = toRecord(checkFiles(body.files ?? { 'app.py': body.code ?? '' }))
      const { findings, entrypoint } = await deps.validate(files, {
        userId,
        signal,
        ...(body.entrypoint === undefined ? {} : { entrypoint: body.entrypoint }),
      })
      const valid = !findings.some((finding) => finding.severity === 'error')
      const failure =
        valid && body.dry_load && entrypoint !== null
          ? await load(userId, { files, entrypoint }, signal)
          : null
      return { findings, entrypoint, failure }
    },
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError')
}

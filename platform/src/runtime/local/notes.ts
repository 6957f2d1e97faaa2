import { containerFacts, containerFlags } from './container.ts'
import type { IsolationReport } from './protocol.ts'

/** Messages to the person who starts the platform about what this machine cannot do for apps. */
export function startNotes(options: {
  readonly report: IsolationReport
  readonly allowUnsandboxed: boolean
  readonly storageProblem: string | undefined
}): string[] {
  const { report, allowUnsandboxed, storageProblem } = options
  return [
    ...report.missing.map(({ mechanism, why, effect }) => `sandbox: no ${mechanism} (${why}): ${effect}`),
    ...(report.network?.notes ?? []).map((note) => `network of apps: ${note}`),
    ...(report.minimum ? [] : minimumNotes(report, allowUnsandboxed)),
    ...(storageProblem
      ? [`app storage: not available here: ${storageProblem}. Apps keep their data in the database.`]
      : []),
  ]
}

function minimumNotes(report: IsolationReport, allowUnsandboxed: boolean): string[] {
  const lack = 'sandbox: the required minimum is not available here'
  if (allowUnsandboxed) return [`${lack}; FP_ALLOW_UNSANDBOXED=1 lets apps run without it`]
  const facts = containerFacts()
  const flags = facts ? containerFlags(report, facts) : []
  const remedy = flags.length > 0 ? 'Add the flags above' : 'Start fp as root'
  return [
    ...flags.map((flag) => `sandbox: add to docker run: ${flag}`),
    `${lack}, so no app will run. ${remedy}, or set FP_ALLOW_UNSANDBOXED=1 where all code is your own.`,
  ]
}

import type { IsolationReport } from './protocol.ts'

/** Why the first manager cannot enforce the admin's settings. Undefined: it can. */
export function refusal({ missing, network }: IsolationReport): string | undefined {
  if (network?.way !== 'refused') return undefined
  const why = missing.find(({ mechanism }) => mechanism === 'network')?.why ?? 'unknown'
  return (
    `FP_EGRESS limits what apps reach, and this machine cannot enforce it: ${why}. ` +
    'Fix that (docs/self-hosting.md), or set FP_EGRESS=internet; apps then share the network of the machine.'
  )
}

/**
 * Why a later manager must not replace the first one: it isolates apps less. Undefined: it may replace the first one. Other
 * decisions of the platform, such as who may read /metrics, and the notes to the admin are based on the first report.
 */
export function weakness(first: IsolationReport, later: IsolationReport): string | undefined {
  const lost = Object.keys(first.mechanisms).filter(
    (name) => first.mechanisms[name] && !later.mechanisms[name],
  )
  const reasons = lost.map((mechanism) => {
    const why = later.missing.find((one) => one.mechanism === mechanism)?.why ?? 'unknown'
    return `no ${mechanism} (${why})`
  })
  if (first.minimum && !later.minimum) reasons.push('the minimum of the sandbox is missing')
  const [before, now] = [first.network?.way, later.network?.way]
  // A shared network cannot become weaker.
  if (before !== now && before !== 'shared') reasons.push(`network of apps: ${now}, was ${before}`)
  return reasons.length === 0 ? undefined : `It would isolate apps less than before: ${reasons.join('; ')}.`
}

import { assetExtensionFault, extensionFault, FILE_LIMITS, findClash, pathFault } from '@fp/sdk/wire'

/** Whether a file holds environment variables: `.env`, `.env.local`. */
export const isEnvFile = (path: string): boolean => /(?:^|\/)\.env(?:\.[^/]*)?$/.test(path)

export const ENV_FILE_ADVICE =
  'Variables are stored encrypted and not with the files. Open Environment and paste the .env file into the name.'

/** Why a file cannot have this path beside `others`, as a sentence. Undefined when it can. The rules are those of the platform. */
export function pathProblem(path: string, others: Iterable<string>): string | undefined {
  return problem(path, others, (ending) => {
    const fault = extensionFault(ending)
    return fault && `The name ${fault}. Upload other files.`
  })
}

/** The same for an asset, which may have any extension but those of code. */
export function assetPathProblem(path: string, others: Iterable<string>): string | undefined {
  return problem(path, others, (ending) => {
    const fault = assetExtensionFault(ending)
    return fault && `An uploaded file cannot have this name: ${fault}`
  })
}

function problem(
  path: string,
  others: Iterable<string>,
  ofEnding: (path: string) => string | undefined,
): string | undefined {
  if (path === '') return 'Type a file name, such as models.py or routers/users.py.'
  if (isEnvFile(path)) return ENV_FILE_ADVICE
  const fault = pathFault(path)
  if (fault) return `This name is not allowed: ${fault}.`
  const ending = ofEnding(path)
  if (ending) return ending
  const clash = findClash([...others, path])
  return clash && `This name is not allowed: ${clash.fault}.`
}

export interface Sizes {
  files: number
  bytes: number
  /** The first limit that is exceeded, as a sentence. */
  problem: string | undefined
}

/** Counts the files against the limits of an app. */
export function measure(files: Readonly<Record<string, string>>): Sizes {
  const encoder = new TextEncoder()
  let total = 0
  let problem: string | undefined
  for (const [path, text] of Object.entries(files)) {
    const size = encoder.encode(text).byteLength
    total += size
    if (size > FILE_LIMITS.maxFileBytes)
      problem ??= `${path} is larger than ${FILE_LIMITS.maxFileBytes / 1024} KB.`
  }
  const count = Object.keys(files).length
  if (count > FILE_LIMITS.maxFiles) problem ??= `An app has at most ${FILE_LIMITS.maxFiles} files.`
  if (total > FILE_LIMITS.maxTotalBytes)
    problem ??= `An app's files have at most ${FILE_LIMITS.maxTotalBytes / 1024} KB together.`
  return { files: count, bytes: total, problem }
}

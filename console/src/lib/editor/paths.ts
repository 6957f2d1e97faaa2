import { ASSET_LIMITS, FILE_LIMITS } from '@fp/sdk/wire'

const SEGMENT = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/

/** Why a file cannot have this path among `others`, in plain words; undefined when it can. The service has the last word. */
export function pathProblem(path: string, others: Iterable<string>): string | undefined {
  if (path === '') return 'Type a file name, such as models.py or routers/users.py.'
  if (path.length > FILE_LIMITS.maxPathLength)
    return `A path has at most ${FILE_LIMITS.maxPathLength} characters.`
  const segments = path.split('/')
  if (segments.some((segment) => !SEGMENT.test(segment)))
    return 'Use letters, digits, _, - and . in names, and / between folders.'
  if (!FILE_LIMITS.extensions.some((extension) => path.endsWith(extension)))
    return `The name must end in ${FILE_LIMITS.extensions.join(' ')}`
  return clash(path, others)
}

/** The same for an asset, which may be called as it likes but must not pass for code. */
export function assetPathProblem(path: string, others: Iterable<string>): string | undefined {
  if (path === '') return 'Type a file name, such as static/logo.png.'
  if (path.length > FILE_LIMITS.maxPathLength)
    return `A path has at most ${FILE_LIMITS.maxPathLength} characters.`
  if (path.split('/').some((segment) => segment === '' || segment.startsWith('.')))
    return 'No part of a path may be empty or start with a dot.'
  if (ASSET_LIMITS.refusedExtensions.some((extension) => path.endsWith(extension)))
    return 'Code cannot be an asset: choose another ending.'
  return clash(path, others)
}

function clash(path: string, others: Iterable<string>): string | undefined {
  const taken = new Set(others)
  if (taken.has(path)) return 'There is a file of this name already.'
  for (const other of taken) {
    if (other.startsWith(`${path}/`)) return 'There is a folder of this name already.'
    if (path.startsWith(`${other}/`)) return `${other} is a file, so it cannot be a folder.`
  }
  return undefined
}

export interface Sizes {
  files: number
  bytes: number
  /** The first limit that is passed, in plain words. */
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

import { FpError } from '../../errors.ts'
import type { VersionRecord, VersionStore } from './store.ts'

/** How many of an app's newest versions are kept. The live one is always kept, however old. */
export const KEPT_VERSIONS = 10

/** Loads a version to start it, without a check of the owner. Throws FP_VERSION_NOT_FOUND. */
export async function loadVersion(
  store: VersionStore,
  appId: string,
  version: number,
): Promise<VersionRecord> {
  return foundVersion(await store.find(appId, version), version)
}

export function foundVersion<T>(version: T | undefined, number: number): T {
  if (version !== undefined) return version
  throw new FpError(
    'FP_VERSION_NOT_FOUND',
    `The app has no version ${number}. It never had one, or it is no longer kept: the last ${KEPT_VERSIONS} are.`,
    { details: { version: number } },
  )
}

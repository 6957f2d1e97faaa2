import { totalmem } from 'node:os'
import { MongoClient } from 'mongodb'

const MB = 2 ** 20

/** Part of the machine's memory. Open transactions stay in the cache, and from a fifth of it on they block all writes. */
const CACHE_PART = 0.1
const MIN_CACHE_GB = 0.25
const MAX_CACHE_GB = 2

/** The size of MongoDB's cache. MongoDB allocates it when it is needed, not at the start. */
export function cacheSizeGb(memory = totalmem()): number {
  return Math.min(MAX_CACHE_GB, Math.max(MIN_CACHE_GB, (memory * CACHE_PART) / 2 ** 30))
}

/** Memory of one stage of a query before it spills to disk, or fails if it cannot. MongoDB's default is 100 MB. */
const STAGE_BYTES = 16 * MB

/** Set one by one at run time, as versions have different parameters and do not start with an unknown one. */
const PARAMETERS: Readonly<Record<string, number>> = {
  internalQueryMaxBlockingSortMemoryUsageBytes: STAGE_BYTES,
  internalDocumentSourceGroupMaxMemoryBytes: STAGE_BYTES,
  internalDocumentSourceSetWindowFieldsMaxMemoryBytes: STAGE_BYTES,
  internalDocumentSourceBucketAutoMaxMemoryBytes: STAGE_BYTES,
  internalDocumentSourceDensifyMaxMemoryBytes: STAGE_BYTES,
  internalQuerySlotBasedExecutionHashAggApproxMemoryUseInBytesBeforeSpill: STAGE_BYTES,
  internalQuerySlotBasedExecutionHashLookupApproxMemoryUseInBytesBeforeSpill: STAGE_BYTES,
  internalLookupStageIntermediateDocumentMaxSizeBytes: 2 * STAGE_BYTES,
  internalQueryFacetBufferSizeBytes: 2 * STAGE_BYTES,
  internalQueryFacetMaxOutputDocSizeBytes: 2 * STAGE_BYTES,
  internalQueryMaxAddToSetBytes: 2 * STAGE_BYTES,
  internalQueryMaxPushBytes: 2 * STAGE_BYTES,
  internalQueryMaxRangeBytes: 2 * STAGE_BYTES,
  internalQueryTopNAccumulatorBytes: 2 * STAGE_BYTES,
  // Of all users together: one build has files for each of its indexes, and blocks writes to its collection.
  maxNumActiveUserIndexBuilds: 1,
  maxIndexBuildMemoryUsageMegabytes: 64,
  transactionLifetimeLimitSeconds: 10,
  // Limit for a log line, which may contain data of a user.
  maxLogSizeKB: 2,
  // Returns freed memory to the system faster.
  tcmallocReleaseRate: 10,
}

/** Sets the parameters that this version knows. */
export async function tune(uri: string): Promise<void> {
  await using client = new MongoClient(uri)
  const admin = client.db('admin')
  const known = await admin.command({ getParameter: '*' })
  for (const [name, value] of Object.entries(PARAMETERS))
    if (name in known) await admin.command({ setParameter: 1, [name]: value })
}

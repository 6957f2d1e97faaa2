import { totalmem } from 'node:os'
import { MongoClient } from 'mongodb'

const MB = 2 ** 20

/** Of the machine's memory: open transactions stay in the cache, and from a fifth of it on they keep everybody from writing. */
const CACHE_PART = 0.1
const MIN_CACHE_GB = 0.25
const MAX_CACHE_GB = 2

/** MongoDB takes the room when it needs it, not at its start. */
export function cacheSizeGb(memory = totalmem()): number {
  return Math.min(MAX_CACHE_GB, Math.max(MIN_CACHE_GB, (memory * CACHE_PART) / 2 ** 30))
}

/** What a stage of a query has in memory before it writes to disk, or fails where it cannot. MongoDB's own value is 100 MB. */
const STAGE_BYTES = 16 * MB

/** Set while it runs, one by one: each version has its own, and would not start with one that it does not know. */
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
  // Of all users together: one build has files for each of its indexes, and keeps writes from its collection.
  maxNumActiveUserIndexBuilds: 1,
  maxIndexBuildMemoryUsageMegabytes: 64,
  transactionLifetimeLimitSeconds: 10,
  // Of a line in the log, which may show what a user has sent.
  maxLogSizeKB: 2,
  // Gives memory back that was freed.
  tcmallocReleaseRate: 10,
}

/** Sets those that this version knows. */
export async function tune(uri: string): Promise<void> {
  await using client = new MongoClient(uri)
  const admin = client.db('admin')
  const known = await admin.command({ getParameter: '*' })
  for (const [name, value] of Object.entries(PARAMETERS))
    if (name in known) await admin.command({ setParameter: 1, [name]: value })
}

import { MongoBulkWriteError, type Collection, type Db } from 'mongodb'
import { DUPLICATE_KEY, isDuplicateKey } from '../../duplicate-key.ts'
import type { LogLine } from '../logs.ts'

/** A line of a pod's log. */
export interface PodLine {
  readonly appId: string
  readonly pod: string
  /** Missing in lines from before versions were stored. */
  readonly version?: number
  /** The time by kubelet, in nanoseconds, padded so that texts compare as times do. */
  readonly stamp: string
  readonly text: string
}

interface LogDoc extends PodLine {
  /** Set on the platform's own lines. */
  readonly stream?: 'platform'
  readonly at: Date
}

/** How many lines of an app are kept, and for how many seconds. */
const KEPT_LINES = 5_000
const KEPT_SECONDS = 14 * 24 * 3600
/** Lines written between two checks of how many there are. */
const PRUNE_EVERY = 500

/** Stores what apps wrote to stdout and stderr: their pods' own logs end with the pods. */
export class LogStore {
  readonly #lines: Collection<LogDoc>
  readonly #written = new Map<string, number>()
  /** The time of the last note in ms, and how many notes had that time before it. */
  #lastNote = { ms: 0, before: 0 }

  constructor(db: Db) {
    this.#lines = db.collection('app_logs')
  }

  async createIndexes(): Promise<void> {
    await this.#lines.createIndex({ appId: 1, stamp: -1 })
    // Each line of a pod is stored once, whichever replica writes it.
    await this.#lines.createIndex({ pod: 1, stamp: 1 }, { unique: true })
    await this.#lines.createIndex({ at: 1 }, { expireAfterSeconds: KEPT_SECONDS })
  }

  async append(lines: readonly PodLine[]): Promise<void> {
    if (lines.length === 0) return
    const at = new Date()
    await this.#lines
      .insertMany(
        lines.map((line) => ({ ...line, at })),
        { ordered: false },
      )
      .catch((error: unknown) => {
        if (!onlyDuplicates(error)) throw error
      })
    await this.#count(lines[0]!.appId, lines.length)
  }

  /** Adds a line of the platform. */
  async note(appId: string, text: string): Promise<void> {
    for (let isStored = false; !isStored;) {
      const note = { appId, pod: platformPod(appId), stamp: this.#noteStamp(), stream: 'platform' } as const
      isStored = await this.#lines.insertOne({ ...note, text, at: new Date() }).then(
        () => true,
        (error: unknown) => {
          // Another replica has stored a note with the same time.
          if (isDuplicateKey(error)) return false
          throw error
        },
      )
    }
    await this.#count(appId, 1)
  }

  /** In nanoseconds, like kubelet's times. Their digits below the milliseconds count, so that notes differ and keep their order. */
  #noteStamp(): string {
    const now = Date.now()
    const { ms, before } = this.#lastNote
    this.#lastNote = now > ms ? { ms: now, before: 0 } : { ms, before: before + 1 }
    const digits = String(this.#lastNote.before).padStart(6, '0')
    return new Date(this.#lastNote.ms).toISOString().replace('Z', `${digits}Z`)
  }

  /** The newest lines, oldest first. */
  async tail(appId: string, lines: number): Promise<LogLine[]> {
    const docs = await this.#lines.find({ appId }).sort({ stamp: -1 }).limit(lines).toArray()
    return docs.reverse().map(toLine)
  }

  /** The time of the last line of a pod that was stored. */
  async last(pod: string): Promise<string | undefined> {
    const doc = await this.#lines.findOne({ pod }, { sort: { stamp: -1 } })
    return doc?.stamp
  }

  async remove(appId: string): Promise<void> {
    this.#written.delete(appId)
    await this.#lines.deleteMany({ appId })
  }

  /** Prunes the app's lines from time to time. */
  async #count(appId: string, lines: number): Promise<void> {
    const written = (this.#written.get(appId) ?? 0) + lines
    this.#written.set(appId, written % PRUNE_EVERY)
    if (written >= PRUNE_EVERY) await this.#prune(appId)
  }

  async #prune(appId: string): Promise<void> {
    const [oldest] = await this.#lines
      .find({ appId }, { projection: { stamp: 1 } })
      .sort({ stamp: -1 })
      .skip(KEPT_LINES)
      .limit(1)
      .toArray()
    if (oldest) await this.#lines.deleteMany({ appId, stamp: { $lte: oldest.stamp } })
  }
}

/** The `pod` of lines of the platform. No pod has such a name. */
const platformPod = (appId: string): string => `fp-${appId}`
/** How older versions marked lines of the platform. */
const OLD_MARK = '[fp] '

function toLine({ appId, pod, version, stamp, stream, text }: LogDoc): LogLine {
  if (stream === 'platform' || pod === platformPod(appId)) {
    const own = stream === undefined && text.startsWith(OLD_MARK) ? text.slice(OLD_MARK.length) : text
    return { time: stamp, stream: 'platform', instance: null, version: null, text: own }
  }
  // The API server gives both streams of a container as one.
  return { time: stamp, stream: 'output', instance: pod, version: version ?? versionOfPod(pod), text }
}

/** Pods of a Deployment are named after their target; those of the pool are not. */
function versionOfPod(pod: string): number | null {
  const version = /^app-[a-z0-9]+-(\d+)-\d+-/.exec(pod)?.[1]
  return version === undefined ? null : Number(version)
}

function onlyDuplicates(error: unknown): boolean {
  if (!(error instanceof MongoBulkWriteError)) return false
  return [error.writeErrors].flat().every(({ code }) => code === DUPLICATE_KEY) && error.result.ok === 1
}

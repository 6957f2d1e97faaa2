/** A line of an app's log. */
export interface LogLine {
  /** UTC in ISO 8601. A line without a time has that of the line before it. Null: there is none, in logs of old versions. */
  readonly time: string | null
  /** `output`: stdout or stderr, if the runtime does not know which. `platform`: written by the platform for the owner. */
  readonly stream: 'stdout' | 'stderr' | 'output' | 'platform'
  /** The process or pod that wrote the line; null if that is not known, and for lines of the platform. */
  readonly instance: string | null
  /** The version of the app that wrote the line; null if it is not known, and for lines of the platform. */
  readonly version: number | null
  readonly text: string
}

/** A line as the API and the console show it. Lines of the platform are marked. */
export function lineText({ stream, text }: LogLine): string {
  return stream === 'platform' ? `[fp] ${text}` : text
}

import type { LogLine } from './runtime.ts'

/** A line as the API and the console show it. Lines of the platform are marked. */
export function lineText({ stream, text }: LogLine): string {
  return stream === 'platform' ? `[fp] ${text}` : text
}

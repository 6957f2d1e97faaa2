export interface TracebackPart {
  text: string
  /** The file and line that the part names, when the file is one of the app. */
  target?: { file: string; line: number }
}

const FRAME = /File "([^"]+)", line (\d+)/

/** Cuts a Python traceback into lines whose `File "…", line n` parts link to the app's own files. */
export function parseTraceback(text: string, files: readonly string[]): TracebackPart[][] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => parseLine(line, files))
}

function parseLine(line: string, files: readonly string[]): TracebackPart[] {
  const match = FRAME.exec(line)
  const file = match?.[1] && ownFile(match[1], files)
  if (!match || !file) return [{ text: line }]
  const before = line.slice(0, match.index)
  const after = line.slice(match.index + match[0].length)
  return [
    { text: before },
    { text: match[0], target: { file, line: Number(match[2]) } },
    { text: after },
  ].filter((part) => part.text !== '')
}

/** The file of the app that a path in the sandbox means: the longest one that the path ends with. Files of packages are not the app's. */
function ownFile(path: string, files: readonly string[]): string | undefined {
  if (/\/(site|dist)-packages\/|\/lib\/python\d/.test(path)) return undefined
  return files
    .filter((file) => path === file || path.endsWith(`/${file}`))
    .sort((a, b) => b.length - a.length)[0]
}

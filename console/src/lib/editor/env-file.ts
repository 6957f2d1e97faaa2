/** What the API takes as the name of an environment variable. */
export const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

/** Reads the lines of a pasted .env file. Comments, `export` and one pair of quotes are understood; the rest is kept as it is. */
export function parseEnv(text: string): [name: string, value: string][] {
  const found = new Map<string, string>()
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line)
    if (!match) continue
    const [, name = '', raw = ''] = match
    const quoted = /^(["'])(.*)\1$/.exec(raw)
    found.set(name, quoted ? (quoted[2] ?? '') : raw.replace(/\s+#.*$/, ''))
  }
  return [...found]
}

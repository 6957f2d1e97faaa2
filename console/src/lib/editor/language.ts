const LANGUAGES: Readonly<Record<string, string>> = {
  py: 'python',
  html: 'html',
  css: 'css',
  js: 'javascript',
  json: 'json',
  md: 'markdown',
  svg: 'xml',
}

/** Monaco's name of the file's language. */
export function languageOf(path: string): string {
  return LANGUAGES[path.slice(path.lastIndexOf('.') + 1)] ?? 'plaintext'
}

/** Answers that must reach a client as from uvicorn alone. Text is latin-1, one character per byte. */
export interface AnswerCase {
  readonly name: string
  readonly status?: number
  readonly headers?: readonly (readonly [string, string])[]
  readonly chunks?: readonly string[]
  readonly method?: string
}

const LENGTH = ['content-length', '2'] as const

const STATUSES = [
  ...[
    200, 201, 202, 203, 205, 206, 207, 208, 226, 299, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404,
  ],
  ...[405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 418, 421, 422, 425, 428, 429, 431, 451, 499],
  ...[500, 501, 502, 503, 504, 507, 511, 599],
]

const HEADERS: Readonly<Record<string, readonly (readonly [string, string])[]>> = {
  'repeated, apart from each other': [
    ['vary', 'a'],
    ['x-a', '1'],
    ['vary', 'b'],
    ['x-a', '2'],
    ['link', '</a>'],
    ['link', '</b>'],
  ],
  'that set several cookies': [
    ['set-cookie', 'a=1; Expires=Wed, 09 Jun 2032 10:18:14 GMT'],
    ['x-a', '1'],
    ['set-cookie', 'b=2; Path=/'],
    ['Set-Cookie', 'c=\xfc'],
  ],
  empty: [
    ['x-empty', ''],
    ['etag', ''],
  ],
  'with blanks inside': [['x-a', 'a  b\tc']],
  'with a name of latin-1 for the file': [['content-disposition', 'attachment; filename="\xfc\xe4.txt"']],
  'with a name of UTF-8 for the file': [
    ['content-disposition', 'attachment; filename="\xc3\xbc\xe2\x82\xac.txt"'],
  ],
  'with a plain name for the file': [['content-disposition', 'attachment; filename="a.txt"']],
  'with bytes above 127': [
    ['x-latin', 'caf\xe9 \xff\x80'],
    ['x-utf8', '\xc3\xbc \xf0\x9f\x8c\x99'],
    ['location', '/\xfc'],
  ],
  'with odd but valid names': [
    ["!#$%&'*+-.^_`|~9", '1'],
    ['x_under', '2'],
    ['__proto__', '3'],
    ['constructor', '4'],
  ],
  'in capitals': [
    ['X-Upper', '1'],
    ['ETAG', '"a"'],
  ],
  'of a date and a server of the app': [
    ['date', 'Tue, 01 Jan 2030 00:00:00 GMT'],
    ['server', 'teapot/1'],
  ],
  'of caches': [
    ['cache-control', 'no-store, max-age=0'],
    ['age', '0'],
    ['expires', '0'],
    ['etag', 'W/"x"'],
  ],
  'of security': [
    ['content-security-policy', "default-src 'self'"],
    ['strict-transport-security', 'max-age=1'],
  ],
  'of a list of types': [
    ['content-type', 'text/html; charset=utf-8'],
    ['content-type', 'text/plain'],
  ],
  'of an encoded body': [
    ['content-encoding', 'gzip'],
    ['content-language', 'de'],
  ],
  'of 60 KB': [['x-large', 'x'.repeat(60_000)]],
  'of many lines': Array.from({ length: 900 }, (_, i) => [`x-${i}`, String(i)] as const),
}

export const ANSWERS: readonly AnswerCase[] = [
  ...STATUSES.map((status) => ({ name: `the status ${status}`, status })),
  ...Object.entries(HEADERS).map(([name, headers]) => ({
    name: `headers ${name}`,
    headers: [...headers, LENGTH],
  })),
  { name: 'a length before the other headers', headers: [LENGTH, ['x-a', '1'], ['content-type', 'a/b']] },
  { name: 'no length: chunks', headers: [['x-a', '1']], chunks: ['one', 'two', 'three'] },
  { name: 'chunks with an empty one', headers: [], chunks: ['one', '', 'two'] },
  {
    name: 'chunks as the app announces them',
    headers: [
      ['transfer-encoding', 'chunked'],
      ['x-a', '1'],
    ],
    chunks: ['a', 'b'],
  },
  { name: 'no body of unknown length', headers: [], chunks: [] },
  { name: 'a length of nought', headers: [['content-length', '0']], chunks: [] },
  {
    name: 'a body of a megabyte',
    headers: [['content-length', '1000000']],
    chunks: ['x'.repeat(400_000), 'y'.repeat(600_000)],
  },
  { name: 'a 204', status: 204, headers: [['x-a', '1']], chunks: [] },
  {
    name: 'a 304 with a length',
    status: 304,
    headers: [
      ['etag', '"x"'],
      ['content-length', '5'],
    ],
    chunks: [],
  },
  { name: 'a 304', status: 304, headers: [['etag', '"x"']], chunks: [] },
]

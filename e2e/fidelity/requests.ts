/** Requests that must reach an app as under uvicorn alone: name and bytes, in which the Host is filled in. */
export interface RequestCase {
  readonly name: string
  readonly bytes: (host: string) => string
  readonly answers?: number
  readonly noBody?: boolean
}

const lines =
  (start: string, ...headers: string[]) =>
  (host: string): string =>
    `${start}\r\n${[`Host: ${host}`, ...headers].join('\r\n')}\r\n\r\n`

const get = (target: string, ...headers: string[]): RequestCase['bytes'] =>
  lines(`GET ${target} HTTP/1.1`, ...headers)

const post =
  (body: string, ...headers: string[]) =>
  (host: string): string =>
    `${lines('POST /post HTTP/1.1', ...headers)(host)}${body}`

const METHODS = [
  ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'QUERY'],
  ...[
    'PROPFIND',
    'PROPPATCH',
    'MKCOL',
    'COPY',
    'MOVE',
    'LOCK',
    'UNLOCK',
    'REPORT',
    'MKACTIVITY',
    'MKCALENDAR',
  ],
  ...['M-SEARCH', 'SEARCH', 'PURGE', 'NOTIFY', 'SUBSCRIBE', 'LINK', 'UNLINK', 'MERGE', 'CHECKOUT', 'ACL'],
]

const TARGETS = [
  '/',
  '/a/b',
  '//',
  '//a//b/',
  '/a/../b/./c',
  '/%2e%2e/x',
  '/a%2Fb%2fc',
  '/%00',
  '/%',
  '/%zz',
  '/%C3%BC',
  '/%fc',
  '/%ff%fe',
  '/a;b=c;d',
  '/a:b@c',
  '/a+b%20c',
  "/~user/!$&'()*,=",
  '/|"<>^`{}\\',
  '/?',
  '/??',
  '/?a=1&a=2&b',
  '/?q=%FC&p=%C3%BC&r=+%20',
  '/?a=/../b?c=d',
  '/?%',
  '/?a=b&&=&;',
  '/?"<>[]|^`{}',
  `/${'p'.repeat(2_000)}?${'q'.repeat(4_000)}`,
  '/_fp/other',
  '/openapi.json',
]

const HEADERS: Readonly<Record<string, readonly string[]>> = {
  'repeated, apart from each other': ['X-Many: 1', 'Accept: a', 'X-Many: 2', 'Accept: b', 'x-many: 3'],
  'cookies in several lines': ['Cookie: a=1', 'X-A: 1', 'Cookie: b=2; c=3'],
  'that Node would keep only once': [
    'User-Agent: a',
    'User-Agent: b',
    'Referer: a',
    'Referer: b',
    'Authorization: a',
    'Authorization: b',
    'If-Modified-Since: a',
    'If-Modified-Since: b',
    'Content-Type: a/b',
    'Content-Type: c/d',
  ],
  empty: ['X-Empty:', 'X-Blank:    ', 'Accept:'],
  'with blanks before and in the value': ['X-A:   a b', 'X-B:\ta\tb'],
  'with bytes of latin-1': ['X-Latin: caf\xe9 \xff\x80\xfc', 'Content-Disposition: form-data; name="\xfc"'],
  'with bytes of UTF-8': ['X-Utf8: \xc3\xbc \xe2\x82\xac \xf0\x9f\x8c\x99'],
  'with odd but valid names': [
    "!#$%&'*+-.^_`|~9: 1",
    'X_Under: 2',
    '__proto__: 3',
    'constructor: 4',
    'X-CaSe: 5',
  ],
  'of the connection': ['Connection: close'],
  'that Connection names': ['Connection: X-One, keep-alive', 'X-One: 1', 'Keep-Alive: timeout=5'],
  'for one connection': [
    'TE: trailers',
    'Proxy-Authorization: Basic eDp5',
    'Trailer: X-Sum',
    'Proxy-Connection: a',
  ],
  'that ask for HTTP/2': ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'],
  'that ask for an unknown protocol': ['Connection: upgrade', 'Upgrade: x/1'],
  'of names that the platform uses': [
    'fp-client: 1 2 3',
    'FP-Client-Host: evil',
    'fp-clientele: 1',
    'x-fp-wake: 1',
  ],
  'of many lines': Array.from({ length: 180 }, (_, i) => `X-${i}: ${i}`),
  'of one line of 60 KB': [`X-Large: ${'x'.repeat(60_000)}`],
  'of a length of nought': ['Content-Length: 0'],
  'of ranges and conditions': ['Range: bytes=0-1', 'If-None-Match: "a", W/"b"', 'If-Range: "a"'],
  'of CORS': ['Origin: https://other.example', 'Access-Control-Request-Method: PUT'],
  'of fetch': ['Sec-Fetch-Mode: cors', 'Sec-Fetch-Site: cross-site', 'Priority: u=1, i', 'DNT: 1'],
}

const BODY = 'hello, body \x00\xff'

const BODIES: Readonly<Record<string, RequestCase['bytes']>> = {
  'of known length': post(BODY, `Content-Length: ${BODY.length}`),
  'whose length comes first': (host) =>
    `POST /post HTTP/1.1\r\nContent-Length: 2\r\nX-A: 1\r\nHost: ${host}\r\nX-B: 2\r\n\r\nok`,
  'in chunks': post('3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n', 'Transfer-Encoding: chunked'),
  'in chunks, written in capitals': post('1\r\na\r\n0\r\n\r\n', 'TRANSFER-ENCODING: Chunked'),
  'that is empty': post('', 'Content-Length: 0'),
  'in chunks that is empty': post('0\r\n\r\n', 'Transfer-Encoding: chunked'),
  'of half a megabyte': post('x'.repeat(500_000), 'Content-Length: 500000'),
  'of a form': post('a=1&b=%FC', 'Content-Type: application/x-www-form-urlencoded', 'Content-Length: 9'),
  'of JSON that is none': post('{"a"', 'Content-Type: application/json', 'Content-Length: 4'),
  'of a type that is none': post('x', 'Content-Type: nonsense', 'Content-Length: 1'),
  'of a type with odd parameters': post('x', 'Content-Type: a/b; c="\xfc"; d', 'Content-Length: 1'),
  'of a GET': (host) => `GET /get HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 2\r\n\r\nok`,
  'of a DELETE': (host) => `DELETE /x HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 2\r\n\r\nok`,
  'of a QUERY': (host) => `QUERY /x HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 8\r\n\r\nselect 1`,
  'of an OPTIONS in chunks': (host) =>
    `OPTIONS /x HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
  'that nobody reads': (host) => `POST /unread HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 2\r\n\r\nok`,
}

export const REQUESTS: readonly RequestCase[] = [
  ...METHODS.map((method) => ({ name: `the method ${method}`, bytes: lines(`${method} /m HTTP/1.1`) })),
  { name: 'the method HEAD', bytes: lines('HEAD /unread HTTP/1.1'), noBody: true },
  ...TARGETS.map((target) => ({ name: `the target ${target.slice(0, 40)}`, bytes: get(target) })),
  ...Object.entries(HEADERS).map(([name, headers]) => ({
    name: `headers ${name}`,
    bytes: get('/headers', ...headers),
  })),
  ...Object.entries(BODIES).map(([name, bytes]) => ({ name: `a body ${name}`, bytes })),
  { name: 'the version HTTP/1.0', bytes: lines('GET /old HTTP/1.0', 'X-A: 1') },
  {
    name: 'HTTP/1.0 that asks to keep the connection',
    bytes: lines('GET /old HTTP/1.0', 'Connection: keep-alive'),
  },
  {
    name: 'several requests at once on one connection',
    bytes: (host) =>
      get('/1', 'X-A: 1')(host) +
      post('abc', 'Content-Length: 3')(host) +
      get('/3', 'Connection: close')(host),
    answers: 3,
  },
  { name: 'an error of the app', bytes: get('/raise') },
]

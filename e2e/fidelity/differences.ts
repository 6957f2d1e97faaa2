/** The intended differences from uvicorn alone, and their reasons. docs/http.md describes them. */
export interface Difference {
  readonly name: string
  readonly why: string
  readonly bytes: (host: string) => string
  /** Status of uvicorn's answer, then of the platform's. */
  readonly statuses: readonly [uvicorn: number, ours: number]
  /** A text in the platform's answer. */
  readonly says?: string
}

const get =
  (start: string, lines: string) =>
  (host: string): string =>
    `${start}\r\nHost: ${host}\r\n${lines}\r\n`

const AMBIGUOUS = 'two servers may read it in two ways: request smuggling'

export const DIFFERENCES: readonly Difference[] = [
  {
    name: 'a second Host',
    why: AMBIGUOUS,
    bytes: get('GET / HTTP/1.1', 'Host: other.example\r\n'),
    statuses: [200, 400],
    says: 'more than one Host',
  },
  {
    name: 'a fragment in the target',
    why: 'a client must not send one, and servers cut it at different places',
    bytes: get('GET /a#b HTTP/1.1', ''),
    statuses: [200, 400],
    says: 'fragment',
  },
  {
    name: 'a length and chunks',
    why: AMBIGUOUS,
    bytes: (host) =>
      `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    statuses: [400, 400],
  },
  {
    name: 'a line that ends in a bare LF',
    why: AMBIGUOUS,
    bytes: get('GET / HTTP/1.1', 'X-A: a\n'),
    statuses: [400, 400],
  },
  {
    name: 'a request for the server as a whole',
    why: 'an app is not the server',
    bytes: get('OPTIONS * HTTP/1.1', ''),
    statuses: [200, 400],
  },
  {
    name: 'a folded line',
    why: AMBIGUOUS,
    bytes: get('GET / HTTP/1.1', 'X-A: a\r\n b\r\n'),
    statuses: [400, 400],
  },
  {
    name: 'an expectation other than 100-continue',
    why: 'RFC 9110 §10.1.1 has the first server answer it',
    bytes: get('GET / HTTP/1.1', 'Expect: the-impossible\r\n'),
    statuses: [200, 417],
  },
  {
    name: 'a method that no parser knows',
    why: 'Node parses a fixed list, as uvicorn does; ours says so',
    bytes: get('BREW /pot HTTP/1.1', ''),
    statuses: [400, 501],
    says: 'FP_METHOD_NOT_IMPLEMENTED',
  },
  {
    name: 'CONNECT',
    why: 'an app is no tunnel to other places',
    bytes: get('CONNECT a.example:80 HTTP/1.1', ''),
    statuses: [400, 405],
  },
  {
    name: 'a head of more than 64 KB',
    why: 'every connection may hold one in memory',
    bytes: get('GET / HTTP/1.1', `X-Large: ${'x'.repeat(70_000)}\r\n`),
    statuses: [200, 431],
    says: '64 KB',
  },
  {
    name: 'more than 200 header lines',
    why: 'each costs time on the way',
    bytes: get('GET / HTTP/1.1', 'a: 1\r\n'.repeat(2_100)),
    statuses: [200, 431],
    says: '200 lines',
  },
  {
    name: 'HTTP/2 without an upgrade',
    why: 'the front speaks HTTP/1.1; uvicorn cannot read it either',
    bytes: () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00',
    statuses: [400, 505],
    says: 'FP_HTTP_VERSION',
  },
]

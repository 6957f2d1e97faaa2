/** Requests that two parsers may understand differently. Each must be refused: 400, the connection closed, nothing sent on. */
const HOST = 'Host: app.example\r\n'
const post = (headers: string, body = ''): string => `POST /evil HTTP/1.1\r\n${HOST}${headers}\r\n${body}`
const get = (headers: string): string => `GET /evil HTTP/1.1\r\n${headers}\r\n`

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: app.example\r\n\r\n'

/** Two ways to find the end of a body. */
const FRAMING: Readonly<Record<string, string>> = {
  'Content-Length and Transfer-Encoding': post(
    'Content-Length: 4\r\nTransfer-Encoding: chunked\r\n',
    `0\r\n\r\n${SMUGGLED}`,
  ),
  'Transfer-Encoding and Content-Length': post(
    'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n',
    `0\r\n\r\n${SMUGGLED}`,
  ),
  'two different Content-Lengths': post('Content-Length: 5\r\nContent-Length: 6\r\n', 'hello!'),
  'the same Content-Length twice': post('Content-Length: 5\r\nContent-Length: 5\r\n', 'hello'),
  'a list of Content-Lengths': post('Content-Length: 5,5\r\n', 'hello'),
  'a list of different Content-Lengths': post('Content-Length: 5, 6\r\n', 'hello!'),
  'a signed Content-Length': post('Content-Length: +5\r\n', 'hello'),
  'a negative Content-Length': post('Content-Length: -5\r\n', 'hello'),
  'a hexadecimal Content-Length': post('Content-Length: 0x5\r\n', 'hello'),
  'a Content-Length with a space inside': post('Content-Length: 1 0\r\n', 'hellohello'),
  'a Content-Length that is no number': post('Content-Length: five\r\n', 'hello'),
  'an empty Content-Length': post('Content-Length:\r\n', 'hello'),
  'a Content-Length of 2^64': post('Content-Length: 18446744073709551616\r\n', 'hello'),
  'a Content-Length of 2^64 + 5': post('Content-Length: 18446744073709551621\r\n', 'hello'),
  'a fractional Content-Length': post('Content-Length: 5.0\r\n', 'hello'),
  'a Content-Length with a quoted number': post('Content-Length: "5"\r\n', 'hello'),
  'an unknown Transfer-Encoding': post('Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'),
  'a Transfer-Encoding that does not end in chunked': post(
    'Transfer-Encoding: chunked, identity\r\n',
    '0\r\n\r\n',
  ),
  'a Transfer-Encoding of identity': post('Transfer-Encoding: identity\r\n', '0\r\n\r\n'),
  'an empty Transfer-Encoding': post('Transfer-Encoding:\r\n', '0\r\n\r\n'),
  'chunked twice': post('Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'),
  'chunked in two header lines': post(
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
    '0\r\n\r\n',
  ),
  'chunked and identity in two header lines': post(
    'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n',
    '0\r\n\r\n',
  ),
  'a coding that is not taken apart before chunked': post(
    'Transfer-Encoding: gzip, chunked\r\n',
    '0\r\n\r\n',
  ),
  'a quoted Transfer-Encoding': post('Transfer-Encoding: "chunked"\r\n', '0\r\n\r\n'),
  'a Transfer-Encoding with a parameter': post('Transfer-Encoding: chunked;a=b\r\n', '0\r\n\r\n'),
  'a Transfer-Encoding with a vertical tab': post('Transfer-Encoding: \x0bchunked\r\n', '0\r\n\r\n'),
  'a Transfer-Encoding with a control character after it': post(
    'Transfer-Encoding: chunked\x01\r\n',
    '0\r\n\r\n',
  ),
  'a Transfer-Encoding in HTTP/1.0': `POST /evil HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
}

const LINES: Readonly<Record<string, string>> = {
  'a space before the colon': post('Transfer-Encoding : chunked\r\n', '0\r\n\r\n'),
  'a tab before the colon': post('Transfer-Encoding\t: chunked\r\n', '0\r\n\r\n'),
  'a space before the colon of Content-Length': post('Content-Length : 5\r\n', 'hello'),
  'a folded header line': get(`${HOST}X-Folded: a\r\n b\r\n`),
  'a header line folded by a tab': get(`${HOST}X-Folded: a\r\n\tb\r\n`),
  'a folded Transfer-Encoding': post('Transfer-Encoding:\r\n chunked\r\n', '0\r\n\r\n'),
  'a first header line that begins with a space': get(` X-First: 1\r\n${HOST}`),
  'bare LF line ends': 'GET /evil HTTP/1.1\nHost: app.example\n\n',
  'a bare LF after the request line': `GET /evil HTTP/1.1\n${HOST}\r\n`,
  'a bare LF after a header line': get(`X-A: 1\n${HOST}`),
  'a bare LF before the body': `GET /evil HTTP/1.1\r\nHost: app.example\n\r\n`,
  'a bare CR in a header value': get(`${HOST}X-A: 1\rTransfer-Encoding: chunked\r\n`),
  'a bare CR after a header line': get(`X-A: 1\r${HOST}`),
  'a NUL in a header value': get(`${HOST}X-A: a\0b\r\n`),
  'a control character in a header value': get(`${HOST}X-A: a\x01b\r\n`),
  'a DEL in a header value': get(`${HOST}X-A: a\x7fb\r\n`),
  'a NUL in a header name': get(`${HOST}X\0A: 1\r\n`),
  'a space in a header name': get(`${HOST}X A: 1\r\n`),
  'a header line without a colon': get(`${HOST}XA\r\n`),
  'a header line without a name': get(`${HOST}: 1\r\n`),
  'parentheses in a header name': get(`${HOST}X(A): 1\r\n`),
  'a brace in a header name': get(`${HOST}X{A}: 1\r\n`),
  'a byte above 127 in a header name': get(`${HOST}X\xe9: 1\r\n`),
  'a quote in a header name': get(`${HOST}"X": 1\r\n`),
  'a slash in a header name': get(`${HOST}X/A: 1\r\n`),
}

const START_LINES: Readonly<Record<string, string>> = {
  'a method that does not exist': `EVIL / HTTP/1.1\r\n${HOST}\r\n`,
  'a method in lower case': `get / HTTP/1.1\r\n${HOST}\r\n`,
  'a method with an odd character': `GE\x01T / HTTP/1.1\r\n${HOST}\r\n`,
  'a method longer than a known one': `GETT / HTTP/1.1\r\n${HOST}\r\n`,
  'an empty method': ` / HTTP/1.1\r\n${HOST}\r\n`,
  'no version': `GET /evil\r\n${HOST}\r\n`,
  'a version that does not exist': `GET /evil HTTP/1.2\r\n${HOST}\r\n`,
  'HTTP/2.0': `GET /evil HTTP/2.0\r\n${HOST}\r\n`,
  'HTTP/0.9': `GET /evil HTTP/0.9\r\n${HOST}\r\n`,
  'another protocol': `GET /evil ICE/1.0\r\n${HOST}\r\n`,
  'a version in lower case': `GET /evil http/1.1\r\n${HOST}\r\n`,
  'a space in the path': `GET /evil path HTTP/1.1\r\n${HOST}\r\n`,
  'a space after the version': `GET /evil HTTP/1.1 \r\n${HOST}\r\n`,
  'a tab for a space': `GET\t/evil\tHTTP/1.1\r\n${HOST}\r\n`,
  'a NUL in the path': `GET /ev\0il HTTP/1.1\r\n${HOST}\r\n`,
  'a control character in the path': `GET /ev\x01il HTTP/1.1\r\n${HOST}\r\n`,
  'a bare CR in the path': `GET /ev\ril HTTP/1.1\r\n${HOST}\r\n`,
  'a target that is no path': `GET evil HTTP/1.1\r\n${HOST}\r\n`,
  'a fragment in the target': `GET /evil#part HTTP/1.1\r\n${HOST}\r\n`,
  'a byte above 127 in the path': `GET /\xe9vil HTTP/1.1\r\n${HOST}\r\n`,
  // Asks about the server as a whole, which is no app.
  'an asterisk as its target': `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
  'an asterisk for a method other than OPTIONS': `GET * HTTP/1.1\r\n${HOST}\r\n`,
}

const HOSTS: Readonly<Record<string, string>> = {
  'no Host': 'GET /evil HTTP/1.1\r\nX-A: 1\r\n\r\n',
  'two Hosts': get(`${HOST}Host: other.example\r\n`),
  'the same Host twice': get(HOST + HOST),
  'a list of Hosts': get('Host: app.example, other.example\r\n'),
  'a Host with a path': get('Host: app.example/path\r\n'),
  'a Host with a user': get('Host: user@app.example\r\n'),
  'a Host with a space': get('Host: app.example other.example\r\n'),
  'a Host with a bad port': get('Host: app.example:80x\r\n'),
}

const CHUNKED = 'Transfer-Encoding: chunked\r\n'

/** The head is well formed, so the app may have seen it: but never a body that ends as if it were whole. */
export const REFUSED_BODIES: Readonly<Record<string, string>> = {
  'a chunk size over 2^64': post(CHUNKED, '10000000000000005\r\nhello\r\n0\r\n\r\n'),
  'a chunk size that is no number': post(CHUNKED, 'xyz\r\nhello\r\n0\r\n\r\n'),
  'a chunk size with a prefix': post(CHUNKED, '0x5\r\nhello\r\n0\r\n\r\n'),
  'a negative chunk size': post(CHUNKED, '-5\r\nhello\r\n0\r\n\r\n'),
  'a signed chunk size': post(CHUNKED, '+5\r\nhello\r\n0\r\n\r\n'),
  'an empty chunk size': post(CHUNKED, '\r\nhello\r\n0\r\n\r\n'),
  'a chunk size after a space': post(CHUNKED, ' 5\r\nhello\r\n0\r\n\r\n'),
  'a chunk that is longer than its size': post(CHUNKED, '4\r\nhello\r\n0\r\n\r\n'),
  'a chunk without an end': post(CHUNKED, '5\r\nhello0\r\n\r\n'),
  'a chunk that ends in a bare LF': post(CHUNKED, '5\r\nhello\n0\r\n\r\n'),
  'a chunk size that ends in a bare LF': post(CHUNKED, '5\nhello\r\n0\r\n\r\n'),
  'a chunk size that ends in a bare CR': post(CHUNKED, '5\rhello\r\n0\r\n\r\n'),
  'a chunk extension with a bare LF': post(CHUNKED, '5;a\nb\r\nhello\r\n0\r\n\r\n'),
  'a chunk extension with a bare CR': post(CHUNKED, '5;a\rb\r\nhello\r\n0\r\n\r\n'),
  'a space in place of an extension': post(CHUNKED, '5 5\r\nhello\r\n0\r\n\r\n'),
  'a trailer with a bare LF': post(CHUNKED, '5\r\nhello\r\n0\r\nX-A: 1\n\r\n'),
  'a trailer with a bad name': post(CHUNKED, '5\r\nhello\r\n0\r\nX A: 1\r\n\r\n'),
  'a last chunk that ends in a bare LF': post(CHUNKED, '5\r\nhello\r\n0\n\n'),
}

export const REFUSED: Readonly<Record<string, string>> = { ...FRAMING, ...LINES, ...START_LINES, ...HOSTS }

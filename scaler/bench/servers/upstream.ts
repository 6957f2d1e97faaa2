import { createServer } from 'node:net'

/** The fastest possible HTTP server, so that the proxy is the bottleneck: a fixed response per request, without parsing. */
const BODY = '{"message":"Hello, World!","ok":true}'
const ANSWER = [
  'HTTP/1.1 200 OK',
  'date: Thu, 01 Jan 2026 00:00:00 GMT',
  'server: bench',
  `content-length: ${BODY.length}`,
  'content-type: application/json',
  '',
  BODY,
].join('\r\n')

createServer((socket) => {
  socket.setNoDelay(true)
  // A proxy sends one small GET at a time on a connection, so each chunk is a whole request.
  socket.on('data', () => socket.write(ANSWER, 'latin1'))
  socket.on('error', () => socket.destroy())
}).listen(Number(process.argv[2]), '127.0.0.1')

// A server of one file for the tests of processes. Its environment says where it listens and how it behaves.
import { existsSync, writeSync } from 'node:fs'
import { createServer } from 'node:http'

const { LISTEN = '', CRASH_UNLESS, HOLD_UNLESS } = process.env

writeSync(1, `pid ${process.pid}\n`)
if (CRASH_UNLESS && !existsSync(CRASH_UNLESS)) {
  writeSync(2, 'cannot start:\nit is not mended\n')
  process.exit(3)
}

const server = createServer((request, response) => {
  if (request.url === '/crash') process.kill(process.pid, 'SIGKILL')
  if (HOLD_UNLESS && !existsSync(HOLD_UNLESS)) {
    writeSync(1, 'asked\n')
    response.writeHead(503).end()
  } else response.end('hello')
})
server.listen(/^\d+$/.test(LISTEN) ? { port: Number(LISTEN), host: '127.0.0.1' } : LISTEN)
process.once('SIGTERM', () => server.close())

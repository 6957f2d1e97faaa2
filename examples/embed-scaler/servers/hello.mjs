// Any server will do: it listens at the socket it is given, and ends on SIGTERM once it has answered what it has.
import { createServer } from 'node:http'

const server = createServer((request, response) => {
  response.end(`Hello from process ${process.pid}: you asked for ${request.url}\n`)
})
server.listen(process.argv[2])
process.once('SIGTERM', () => server.close())

// The app of the churn test. Plain JavaScript and little of it: it is started hundreds of times.
import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const EVENTS = 5

/** Written before it is acted on, and not lost when the process is killed. */
const say = (line) => writeSync(1, `${line}\n`)

function arrived(request) {
  const { pathname, searchParams } = new URL(request.url, 'http://app')
  const id = searchParams.get('id')
  if (id) say(`id ${id}`)
  // A request that is sent again after a crash is held by nobody.
  return { pathname, id, held: searchParams.get('held') === String(process.pid) }
}

function upload(request, response) {
  const hash = createHash('sha256')
  let length = 0
  request.on('data', (chunk) => {
    hash.update(chunk)
    length += chunk.length
  })
  request.once('end', () => response.end(`${length} ${hash.digest('hex')}`))
}

function events(response, id, held) {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  let sent = 0
  const next = () => {
    response.write(`data: ${id} ${++sent}\n\n`)
    if (held) return
    if (sent < EVENTS) setImmediate(next)
    else response.end()
  }
  next()
}

const server = createServer((request, response) => {
  const { pathname, id, held } = arrived(request)
  if (pathname === '/upload') upload(request, response)
  else if (pathname === '/events') events(response, id, held)
  else if (!held) response.end(id)
})
new WebSocketServer({ server }).on('connection', (socket, request) => {
  arrived(request)
  socket.on('message', (data, binary) => socket.send(data, { binary }))
})

say(`pid ${process.pid}`)
// It dies of SIGTERM at once: what is told to end must have nothing left to answer.
server.listen(process.argv[2])

// A WebSocket server that sends each message to everybody.
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'

const server = createServer((_request, response) => response.end('Open a WebSocket here.\n'))
const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket) => {
  socket.on('message', (data, binary) => {
    for (const client of sockets.clients) client.send(data, { binary })
  })
})
server.listen(process.argv[2])
process.once('SIGTERM', () => {
  for (const client of sockets.clients) client.close(1001)
  server.close()
})

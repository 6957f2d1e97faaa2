import { createServer, type ServerResponse } from 'node:http'
import { Pool, type Dispatcher } from 'undici'

/** A proxy without any features: node:http towards the client, undici's dispatch towards the app. The baseline for others. */
class Pass implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse

  constructor(response: ServerResponse) {
    this.#response = response
  }

  onRequestStart(): void {}

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: object): void {
    this.#response.writeHead(status, headers as Record<string, string>)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#response.write(chunk)
  }

  onResponseEnd(): void {
    this.#response.end()
  }

  onResponseError(): void {
    this.#response.destroy()
  }
}

const [port, upstream] = process.argv.slice(2)
const pool = new Pool(`http://127.0.0.1:${upstream}`)
createServer((request, response) => {
  const { connection: _, ...headers } = request.headers
  pool.dispatch({ path: request.url!, method: request.method!, headers }, new Pass(response))
}).listen(Number(port), '127.0.0.1')

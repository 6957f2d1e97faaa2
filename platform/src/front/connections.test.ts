import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { Connections } from './connections.ts'

class Wire extends EventEmitter {
  destroyed = false
  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    this.emit('close')
  }
}
const wire = (): Wire & Socket => new Wire() as unknown as Wire & Socket
const stranger = { key: '192.0.2.1', shared: false }
const other = { key: '192.0.2.2', shared: false }
const local = { key: 'loopback', shared: true }
const nothing = (): void => undefined

it('an address at its limit loses the connection that was idle longest', () => {
  const connections = new Connections({ perAddress: 2, total: 100 })
  const [first, second, third] = [wire(), wire(), wire()]
  connections.accept(first, stranger)
  connections.accept(second, stranger)
  // The first one has answered a request since, so it has been idle for a shorter time.
  connections.begin(first, nothing)()
  expect(connections.accept(third, stranger)).toBe(true)
  expect([first.destroyed, second.destroyed, third.destroyed]).toEqual([false, true, false])
  expect(connections.size).toBe(2)
})

it('a connection in use is not closed; the next one is refused', () => {
  const connections = new Connections({ perAddress: 2, total: 100 })
  const held = [wire(), wire()]
  for (const socket of held) {
    connections.accept(socket, stranger)
    connections.begin(socket, nothing)
  }
  expect(connections.accept(wire(), stranger)).toBe(false)
  expect(connections.accept(wire(), other)).toBe(true)
  held[0]!.destroy()
  expect(connections.accept(wire(), stranger)).toBe(true)
})

it('all programs of this machine together may have many connections, but never all', () => {
  const connections = new Connections({ perAddress: 2, total: 10 })
  for (let n = 0; n < 20; n++) {
    const socket = wire()
    if (connections.accept(socket, local)) connections.begin(socket, nothing)
  }
  expect(connections.size).toBe(5)
  expect(connections.accept(wire(), stranger)).toBe(true)
})

it('at the total limit the client with the most connections loses one', () => {
  const connections = new Connections({ perAddress: 3, total: 4 })
  const most = [wire(), wire(), wire()]
  for (const socket of most) connections.accept(socket, stranger)
  const one = wire()
  connections.accept(one, other)
  expect(connections.accept(wire(), { key: '192.0.2.3', shared: false })).toBe(true)
  expect([most[0]!.destroyed, one.destroyed]).toEqual([true, false])
})

it('a connection that closes releases the places of its requests, each once', () => {
  const connections = new Connections({ perAddress: 3, total: 4 })
  const socket = wire()
  let released = 0
  connections.accept(socket, stranger)
  const end = connections.begin(socket, () => released++)
  connections.begin(socket, () => released++)
  expect(connections.requestsOf(socket)).toBe(2)
  end()
  socket.destroy()
  end()
  expect(released).toBe(2)
})

import { once } from 'node:events'
import { connect } from 'node:net'
import { deflateSync } from 'node:zlib'
import { MongoClient } from 'mongodb'
import { expect, inject, test } from 'vitest'
import { OP_COMPRESSED, OP_MSG, wireCommand, wireMessage } from '../../test/mongo-wire.ts'

const ZLIB = 2

/** All bytes until the server closes the connection, or the first whole message. */
async function answerTo(bytes: Buffer): Promise<Buffer> {
  const [host] = new MongoClient(inject('mongoUri')).options.hosts
  const socket = host!.socketPath ? connect(host!.socketPath) : connect(host!.port!, host!.host!)
  await once(socket, 'connect')
  socket.write(bytes)
  const chunks: Buffer[] = []
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    const all = Buffer.concat(chunks)
    if (all.length >= 4 && all.length >= all.readInt32LE(0)) break
  }
  return Buffer.concat(chunks)
}

test('a compressed message without a log-in leaks no byte of heap (CVE-2025-14847)', async () => {
  const hello = wireCommand({ hello: 1, $db: 'admin' })
  // The same message is answered when it is not compressed.
  expect((await answerTo(wireMessage(OP_MSG, hello))).length).toBeGreaterThan(100)
  for (const claimed of [hello.length, hello.length + 1, 4_096, 65_536]) {
    const head = Buffer.alloc(9)
    head.writeInt32LE(OP_MSG, 0)
    // More than there is: affected versions answer with old contents of their memory.
    head.writeInt32LE(claimed, 4)
    head.writeUInt8(ZLIB, 8)
    const answer = await answerTo(wireMessage(OP_COMPRESSED, Buffer.concat([head, deflateSync(hello)])))
    expect(answer).toHaveLength(0)
  }
})

test('compression is offered to nobody', async () => {
  await using client = new MongoClient(inject('mongoUri'), { compressors: ['zlib'] })
  const hello = await client.db('admin').command({ hello: 1, compression: ['zlib', 'snappy', 'zstd'] })
  expect(hello['compression'] ?? []).toEqual([])
})

test('JavaScript of a query is refused: $where, $function, $accumulator and mapReduce', async () => {
  await using client = new MongoClient(inject('mongoUri'))
  const notes = client.db('test_scripting').collection('notes')
  await notes.insertOne({ n: 1 })
  const body = 'function() { return true }'
  const disabled = /[Jj]ava[Ss]cript|scripting|globalScriptEngine/
  await expect(notes.find({ $where: body }).toArray()).rejects.toThrow(disabled)
  const computed = { $function: { body, args: [], lang: 'js' } }
  await expect(notes.aggregate([{ $set: { computed } }]).toArray()).rejects.toThrow(disabled)
  const accumulator = { init: body, accumulate: body, accumulateArgs: [], merge: body, lang: 'js' }
  await expect(
    notes.aggregate([{ $group: { _id: 1, all: { $accumulator: accumulator } } }]).toArray(),
  ).rejects.toThrow(disabled)
  const mapReduce = { mapReduce: 'notes', map: body, reduce: body, out: { inline: 1 } }
  await expect(client.db('test_scripting').command(mapReduce)).rejects.toThrow(disabled)
  await client.db('test_scripting').dropDatabase()
})

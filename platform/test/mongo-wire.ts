import { BSON } from 'mongodb'

export const OP_MSG = 2013
export const OP_COMPRESSED = 2012

/** A message of MongoDB's wire protocol. */
export function wireMessage(opCode: number, body: Buffer): Buffer {
  const header = Buffer.alloc(16)
  header.writeInt32LE(16 + body.length, 0)
  header.writeInt32LE(1, 4)
  header.writeInt32LE(opCode, 12)
  return Buffer.concat([header, body])
}

/** The body of an OP_MSG with one command. */
export function wireCommand(document: object): Buffer {
  return Buffer.concat([Buffer.alloc(5), BSON.serialize(document)])
}

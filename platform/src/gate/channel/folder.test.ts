import { chmod, mkdir, mkdtemp, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { fakeGate } from '../../../test/fake-gate.ts'
import { channelSockets } from './folder.ts'
import { serveGate } from './server.ts'

let data: string
beforeEach(async () => {
  data = await mkdtemp(path.join(tmpdir(), 'fp-folder-'))
  return () => rm(data, { recursive: true, force: true })
})

const rights = async (file: string): Promise<number> => (await stat(file)).mode & 0o777

test('only the platform’s user can enter the folder and use the sockets, whatever the umask', async () => {
  const before = process.umask(0)
  onTestFinished(() => void process.umask(before))
  const sockets = await channelSockets(data)
  expect(sockets).toEqual({
    gate: path.join(data, 'channel/gate.sock'),
    api: path.join(data, 'channel/api.sock'),
  })
  expect(await rights(path.dirname(sockets.gate))).toBe(0o700)
  const server = await serveGate(fakeGate(), sockets.gate)
  expect(await rights(sockets.gate)).toBe(0o600)
  await server[Symbol.asyncDispose]()
  await expect(stat(sockets.gate)).rejects.toThrow('ENOENT')
  expect(await channelSockets(data)).toEqual(sockets)
})

test.each([
  ['long', 'd'.repeat(90)],
  ['long in bytes', 'ü'.repeat(45)],
])('a data folder whose path is too %s for a socket has them in a folder of its own', async (_how, name) => {
  const long = path.join(data, name)
  const sockets = await channelSockets(long)
  const folder = path.dirname(sockets.gate)
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  expect(folder.startsWith(long)).toBe(false)
  expect(await rights(folder)).toBe(0o700)
  expect(await channelSockets(long)).toEqual(sockets)
  const server = await serveGate(fakeGate(), sockets.gate)
  await server[Symbol.asyncDispose]()
  const other = await channelSockets(`${long}2`)
  onTestFinished(() => rm(path.dirname(other.gate), { recursive: true, force: true }))
  expect(other.gate).not.toBe(sockets.gate)
})

const folder = (): string => path.join(data, 'channel')

test('a folder that others can enter is refused', async () => {
  await mkdir(folder())
  await chmod(folder(), 0o755)
  await expect(channelSockets(data)).rejects.toThrow(`The folder ${folder()} must belong to this user alone.`)
})

test('a symbolic link is refused', async () => {
  await mkdir(path.join(data, 'elsewhere'), { mode: 0o700 })
  await symlink(path.join(data, 'elsewhere'), folder())
  await expect(channelSockets(data)).rejects.toThrow('must belong to this user alone')
})

test.skipIf(process.getuid!() !== 0)('a folder of somebody else is refused', async () => {
  const { chown } = await import('node:fs/promises')
  await mkdir(folder(), { mode: 0o700 })
  await chown(folder(), 65_534, 65_534)
  await expect(channelSockets(data)).rejects.toThrow('must belong to this user alone')
})

import { mkdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId } from '../../ids.ts'

/** Linux refuses longer socket paths. */
const MAX_SOCKET_PATH = 107
/** The most characters that an instance's id has. */
const MAX_ID = 48

/** Makes an empty folder that only the platform can enter. Sockets of an earlier run are removed. */
export async function freshSocketDir(dataDir: string): Promise<string> {
  const inData = join(dataDir, 'run')
  const longest = join(inData, `${'x'.repeat(MAX_ID)}.sock`)
  const folder = longest.length <= MAX_SOCKET_PATH ? inData : join(tmpdir(), newId('fp'))
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return folder
}

import { readFile } from 'node:fs/promises'
import type { AppsMemory } from '../runtime.ts'
import type { Hello } from './protocol.ts'

/** Reads the memory of all apps from the statistics of their cgroup. */
export async function readMemory({ file, fields, limit }: NonNullable<Hello['memory']>): Promise<AppsMemory> {
  const lines = (await readFile(file, 'ascii')).split('\n').map((line) => line.split(' '))
  const values = fields.map((field) => Number(lines.find(([name]) => name === field)?.[1]))
  const used = values.reduce((sum, value) => sum + value, 0)
  if (!Number.isFinite(used)) throw new Error(`${file} has no ${fields.join(' or ')}.`)
  return { used, limit }
}

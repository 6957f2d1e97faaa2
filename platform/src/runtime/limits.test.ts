import { ASSET_LIMITS } from '@fp/sdk/wire'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { DEFAULT_LIMITS, startDeadline, toWire } from './limits.ts'
import { mebibytes, podLimits } from './kubernetes/pod-limits.ts'
import { SETTINGS } from './kubernetes/test/specs.ts'

const ROOT = path.resolve(import.meta.dirname, '../../..')
const textOf = (file: string): string => readFileSync(path.join(ROOT, file), 'utf8')

test('the runner gets every limit, and has no limits of its own', () => {
  const python = textOf('runner/src/fp_runner/limits.py')
  const fields = [...python.matchAll(/^ {4}(\w+): (?:int|float)[^=\n]*(=.*)?$/gm)]
  expect(fields.map(([, name]) => name).sort()).toEqual(Object.keys(toWire(DEFAULT_LIMITS)).sort())
  expect(fields.filter(([, , value]) => value !== undefined)).toEqual([])
})

test('the runner takes as many assets as the platform', () => {
  const python = textOf('runner/src/fp_runner/pod_start_request.py')
  const valueOf = (name: string): number =>
    new RegExp(`^${name}: Final = ([0-9* ]+)$`, 'm')
      .exec(python)![1]!
      .split('*')
      .reduce((product, factor) => product * Number(factor), 1)
  expect(['_MAX_ASSETS', '_MAX_ASSET_BYTES', '_MAX_ASSETS_BYTES'].map(valueOf)).toEqual([
    ASSET_LIMITS.maxFiles,
    ASSET_LIMITS.maxFileBytes,
    ASSET_LIMITS.maxTotalBytes,
  ])
})

test('the documents name the default of memory', () => {
  expect(textOf('docs/self-hosting.md')).toContain(
    `| \`FP_APP_MEMORY_REQUEST\`, \`FP_APP_MEMORY\` | \`64Mi\`, \`${mebibytes(DEFAULT_LIMITS.memoryBytes)}\` |`,
  )
})

test('those that wait for a start have a later deadline than the runner', () => {
  expect(startDeadline(DEFAULT_LIMITS)).toBeGreaterThan(DEFAULT_LIMITS.startSeconds)
})

test('a pod has what the admin set, unless the app has limits of its own', () => {
  const { resources } = SETTINGS
  expect(podLimits({ ...resources, cpuLimit: '2' }, {}).resources).toEqual({
    requests: { cpu: '50m', memory: '64Mi' },
    limits: { memory: '512Mi', cpu: '2' },
  })
  expect(podLimits({ ...resources, cpuLimit: '2' }, { cpus: null }).resources.limits).toEqual({
    memory: '512Mi',
  })
  expect(podLimits(resources, { cpus: 0.01 }).resources).toMatchObject({
    requests: { cpu: '0.01' },
    limits: { cpu: '0.01' },
  })
})

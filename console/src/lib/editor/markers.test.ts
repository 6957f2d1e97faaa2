import { createNodeValidator } from '@fp/sdk/python/node'
import { expect, test } from 'vitest'
import { markersOf } from './markers.ts'

/** Monaco's values: https://microsoft.github.io/monaco-editor/docs.html#enums/MarkerSeverity.html */
const SEVERITIES = { Error: 8, Warning: 4 } as const

test('each finding is underlined in its own file, where the validator found it', async () => {
  const { findings } = (await createNodeValidator()).check({
    'app.py': 'from fastapi import FastAPI\nimport os\nimport other\n\napp = FastAPI(title=other.x)\n',
    'other.py': 'x = (\n',
  })
  expect(markersOf(findings, 'app.py', SEVERITIES)).toEqual([
    {
      startLineNumber: 2,
      startColumn: 8,
      endLineNumber: 2,
      endColumn: 10,
      message: expect.stringContaining('os'),
      source: expect.any(String),
      severity: SEVERITIES.Warning,
    },
  ])
  expect(markersOf(findings, 'other.py', SEVERITIES)).toMatchObject([{ severity: SEVERITIES.Error }])
  expect(markersOf(findings, 'none.py', SEVERITIES)).toEqual([])
})

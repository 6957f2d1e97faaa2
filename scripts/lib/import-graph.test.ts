import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { onTestFinished, expect, test } from 'vitest'
import { cyclesOf, importGraph } from './import-graph.mjs'

/** The cycles of a folder with these files. */
function cycles(files: Record<string, string>): string[][] {
  const root = mkdtempSync(path.join(tmpdir(), 'fp-imports-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(root, name), text)
  return cyclesOf(importGraph(root, Object.keys(files)))
}

test('finds files that import one another, by types alone too', () => {
  expect(
    cycles({
      'a.ts': "import type { B } from './b.ts'\nexport type A = B",
      'b.ts': "export * from './c.ts'",
      'c.ts': "export type B = import('./a.ts').A",
      'd.ts': "import './a.ts'",
    }),
  ).toEqual([['a.ts', 'b.ts', 'c.ts']])
})

test('reads the scripts of components, and paths without an ending', () => {
  expect(
    cycles({
      'List.svelte': '<script lang="ts">import { list } from \'./list.svelte\'</script>',
      'list.svelte.ts': "import List from './List.svelte'",
    }),
  ).toEqual([['List.svelte', 'list.svelte.ts']])
})

test('two files that import the same file are not a cycle', () => {
  expect(
    cycles({ 'a.ts': "import './c.ts'", 'b.ts': "import './c.ts'\nimport './a.ts'", 'c.ts': '' }),
  ).toEqual([])
})

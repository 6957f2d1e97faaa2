import { readFileSync } from 'node:fs'
import { cyclesOf, importGraph } from './lib/import-graph.mjs'
import { inRoot, ROOT } from './lib/paths.mjs'
import { run } from './lib/run.mjs'

// Checks rules of CONTRIBUTING.md that ESLint does not check: no import cycles, and no long file without a reason.

const MAX_LINES = 300
/** Cases of a test stand one after the other, so a longer file still reads well. */
const MAX_TEST_LINES = 500
const REASON = /^(?:\/\/|#|<!--) Longer than \d+ lines: \w/m
/** Apps that stand for what users write. */
const APPS = [':!examples', ':!e2e/layouts/apps', ':!*.min.js']

const sources = await listed('*.ts', '*.mjs', '*.js', '*.svelte')
const problems = cyclesOf(importGraph(ROOT, sources)).map(
  (group) => `These files import one another. Move what they share into one of its own: ${group.join(', ')}`,
)
for (const file of [...sources, ...(await listed('*.py'))]) {
  const text = readFileSync(inRoot(file), 'utf8')
  const lines = text.split('\n').length - 1
  const most = /\.test\.ts$|\/tests?\//.test(file) ? MAX_TEST_LINES : MAX_LINES
  if (lines > most && !REASON.test(text.slice(0, 2000)))
    problems.push(
      `${file} has ${lines} lines, and ${most} are allowed. Split it, or say in a comment at its top: Longer than ${most} lines: <reason>`,
    )
}
for (const problem of problems) console.error(problem)
if (problems.length > 0) process.exitCode = 1

async function listed(...patterns) {
  const list = await run('git', ['ls-files', '-co', '--exclude-standard', '--', ...patterns, ...APPS])
  return list.trim().split('\n')
}

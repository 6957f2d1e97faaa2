import { createNodeValidator } from '@fp/sdk/python/node'
import { validationInputs } from './validation-inputs.ts'

/** In a process as the platform's: the work in ms (of all threads) of each input, the first time and the second. */
const inputs = await validationInputs()
const validator = await createNodeValidator()
validator.check({ 'app.py': 'from fastapi import FastAPI\napp = FastAPI()\n' })
for (const [name, files] of Object.entries(inputs)) {
  const [first, again] = [work(files), work(files)]
  console.log([name, first.toFixed(0), again.toFixed(0)].join('\t'))
}

function work(files: Record<string, string>): number {
  const before = process.cpuUsage()
  validator.check(files)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

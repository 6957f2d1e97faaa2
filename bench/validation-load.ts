import { createNodeValidator } from '@fp/sdk/python/node'
import { validationInputs } from './validation-inputs.ts'

/** Runs in a process like the platform's. Prints the processor time in ms (all threads) of each input, first and second time. */
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

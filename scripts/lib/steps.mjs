import { CommandFailed, SetupError } from './run.mjs'

const seconds = (from) => `${((performance.now() - from) / 1000).toFixed(1)} s`

/** Does one step of the set-up and prints it. `work` is undefined when nothing needs to be done; then nothing is printed. */
export async function step(title, work) {
  if (!work) return
  const begun = performance.now()
  console.log(`  … ${title}`)
  await work()
  console.log(`  ✓ ${title} (${seconds(begun)})`)
}

/** Runs a script's main function. An error is printed for a person and ends the process. */
export async function main(work) {
  try {
    await work()
  } catch (error) {
    if (error instanceof CommandFailed)
      console.error(`\n${error.message}\n${error.output.trim().split('\n').slice(-30).join('\n')}\n`)
    else if (error instanceof SetupError) console.error(`\n${error.message}\n`)
    else console.error(error)
    process.exit(1)
  }
}

import { CommandFailed, SetupError } from './run.mjs'

const seconds = (from) => `${((performance.now() - from) / 1000).toFixed(1)} s`

/** Does one step of a set-up; says so only when there is something to do. `work` is undefined where all is in place. */
export async function step(title, work) {
  if (!work) return
  const begun = performance.now()
  console.log(`  … ${title}`)
  await work()
  console.log(`  ✓ ${title} (${seconds(begun)})`)
}

/** Runs a script's main function: errors are shown for a person, and end the process. */
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

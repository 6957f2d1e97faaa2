import { spawn } from 'node:child_process'
import path from 'node:path'
import { ROOT } from './paths.mjs'

/** The command ended with an error. `output` has everything that it printed. */
export class CommandFailed extends Error {
  constructor(command, output, code) {
    super(`${command} failed (${code})`)
    this.output = output
  }
}

/** An error with a message for a person. Its stack is not printed. */
export class SetupError extends Error {}

/** Runs a command to its end and resolves to its output, which is printed only after a failure. */
export function run(command, args, { cwd = ROOT, env = {}, show = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, PATH: systemPath(), ...env },
      stdio: ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'],
    })
    let output = ''
    child.stdout?.on('data', (chunk) => (output += chunk))
    child.stderr?.on('data', (chunk) => (output += chunk))
    child.once('error', (error) => reject(new CommandFailed(command, String(error.message), error.code)))
    child.once('close', (code, signal) => {
      if (code === 0) resolve(output)
      else
        reject(
          new CommandFailed(
            [path.basename(command), ...args].join(' '),
            output,
            signal ?? `exit code ${code}`,
          ),
        )
    })
  })
}

/** npm puts node_modules/.bin first: `npm ci` must not run on the Node that it removes. */
export function systemPath() {
  const parts = (process.env.PATH ?? '').split(path.delimiter)
  return parts.filter((part) => !part.includes(`node_modules${path.sep}.bin`)).join(path.delimiter)
}

export async function works(command, args) {
  return run(command, args).then(
    () => true,
    () => false,
  )
}

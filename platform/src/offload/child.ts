import { setPriority } from 'node:os'
import { firstOfAll, type Validator } from '@fp/sdk/python'
import { hashPassword, verifyPassword } from './passwords.ts'
import type { JobMessage, Jobs, ResultMessage } from './protocol.ts'

/**
 * The child process of `worker.ts`, which does one job after the other. It has a lower priority than the gate (nice 10). It
 * ignores the terminal's Ctrl-C, so that running requests at shutdown still get their results. It ends with its parent.
 */
setPriority(10)
process.on('SIGINT', () => undefined)
process.on('disconnect', () => process.exit(0))

let validator: Promise<Validator> | undefined

/** Loaded on first use, so that a process that only hashes passwords never loads the WebAssembly. */
function getValidator(): Promise<Validator> {
  validator ??= import('@fp/sdk/python/node').then(({ createNodeValidator }) => createNodeValidator())
  return validator
}

const work: { [N in keyof Jobs]: (input: Jobs[N]['input']) => Promise<Jobs[N]['output']> } = {
  hash: ({ password }) => hashPassword(password),
  verify: ({ hash, password }) => verifyPassword(hash, password),
  validate: async ({ files, options }) => {
    const { findings, entrypoint } = (await getValidator()).check(files, options)
    return { findings: [...firstOfAll(findings)], entrypoint }
  },
  warm: async () => {
    ;(await getValidator()).validate({ 'app.py': 'from fastapi import FastAPI\napp = FastAPI()\n' }, {})
    return null
  },
}

process.on('message', (message: JobMessage) => {
  const run = work[message.job] as (input: unknown) => Promise<unknown>
  const send = (result: ResultMessage): void => void process.send?.(result)
  run(message.input).then(
    (output) => send({ id: message.id, ok: true, output }),
    (error: unknown) =>
      send({ id: message.id, ok: false, message: String((error as Error)?.stack ?? error) }),
  )
})

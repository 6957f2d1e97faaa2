import type { JobMessage } from '../src/offload/protocol.ts'

/** Stands in for `offload/child.ts`: the password or the code of app.py says how to behave. */
process.on('disconnect', () => process.exit(0))
process.on('message', ({ id, job, input }: JobMessage) => {
  const order = 'files' in input ? (input.files['app.py'] ?? '') : 'password' in input ? input.password : ''
  if (order === 'crash') process.kill(process.pid, 'SIGKILL')
  if (order === 'hang') for (;;);
  if (order === 'throw') process.send?.({ id, ok: false, message: 'thrown' })
  else if (order !== 'silent') process.send?.({ id, ok: true, output: `${job} in ${process.pid}` })
})

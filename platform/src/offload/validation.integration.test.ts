import { expect, it } from 'vitest'
import { createOffload } from './offload.ts'

it('finds what is wrong in Python files, off this process', async () => {
  const offload = createOffload()
  try {
    await offload.warmValidator()
    const files = { 'app.py': 'from fastapi import FastAPI\napp = FastAPI()\n', 'b.py': 'def f(:\n  pass\n' }
    const { findings, entrypoint } = await offload.validate(files, { userId: 'u_ann' })
    expect(findings).toContainEqual(
      expect.objectContaining({ file: 'b.py', rule: 'syntax-error', severity: 'warning' }),
    )
    expect(entrypoint).toBe('app:app')
    expect(await offload.validate({ 'app.py': files['app.py'] }, { userId: 'u_ann' })).toEqual({
      findings: [],
      entrypoint: 'app:app',
    })
  } finally {
    await offload.close()
  }
})

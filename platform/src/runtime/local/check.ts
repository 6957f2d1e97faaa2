import { newId } from '../../ids.ts'
import { plainFailure, type AppFailureReport, type AppSpec, type CheckResult } from '../runtime.ts'
import { fullReport } from './instance.ts'
import type { Manager } from './manager.ts'
import type { InstanceEvent } from './protocol.ts'
import type { Starter } from './starter.ts'

/** Loads an app in the sandbox and ends it. Rejects with the signal's reason, or if the start could not be requested. */
export async function checkApp(
  spec: AppSpec,
  signal: AbortSignal,
  { manager, start }: { readonly manager: Pick<Manager, 'kill'>; readonly start: Starter },
): Promise<CheckResult> {
  signal.throwIfAborted()
  const id = `${spec.key}-${newId('check')}`
  return new Promise((resolve, reject) => {
    let failure: AppFailureReport | undefined
    let loaded = false
    const abort = (): void => manager.kill(id)
    signal.addEventListener('abort', abort, { once: true })
    const onEvent = (event: InstanceEvent): void => {
      if (event.event === 'checked') loaded = true
      if (event.event === 'failed') failure = fullReport(event.failure)
      if (event.event !== 'exited') return
      signal.removeEventListener('abort', abort)
      if (signal.aborted) reject(signal.reason as Error)
      else if (loaded) resolve({ ok: true })
      else resolve({ ok: false, failure: failure ?? plainFailure('FP_APP_CRASHED', event.message) })
    }
    start(spec, { id, purpose: { mode: 'check' }, onEvent, signal }).catch((error: unknown) => {
      signal.removeEventListener('abort', abort)
      reject(error as Error)
    })
  })
}

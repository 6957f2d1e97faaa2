import { expect } from 'vitest'
import { HELLO, type Requests } from './modules.ts'

/** A failure of an app that does not start. */
export const BROKEN = {
  code: 'FP_APP_CRASHED',
  message: 'KeyError: x',
  traceback: 'Traceback …',
  file: 'app.py',
  line: 3,
}

/** The files of a version. */
export const version = (n: number): Record<string, string> => ({ 'app.py': `app = ${n}` })

/** Creates and deploys apps as one user. */
export function deploysOf(as: Requests) {
  return {
    async makeApp(): Promise<string> {
      return (await as('POST', '/api/apps', { name: 'app', files: HELLO })).body.app_id
    },

    async deploy(app: string, files?: Record<string, string>): Promise<string> {
      const answer = await as('POST', `/api/apps/${app}/deploy`, files ? { files } : {})
      expect(answer.status, answer.text).toBe(202)
      return answer.body.deployment_id
    },

    /** Resolves to the deployment once it has ended: the stream of its events ends then. */
    async ended(app: string, deployment: string): Promise<{ stage: string; [key: string]: unknown }> {
      await as('GET', `/api/apps/${app}/deployments/${deployment}/events`)
      return (await as('GET', `/api/apps/${app}/deployments/${deployment}`)).body
    },
  }
}

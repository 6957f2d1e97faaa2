import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** Has everything that is installed or built, except node_modules. */
export const STATE = path.join(ROOT, '.fp')
export const inRoot = (...parts) => path.join(ROOT, ...parts)
export const inState = (...parts) => path.join(STATE, ...parts)
/** Node 24 of the packages, whichever version the machine has. */
export const NODE = inRoot('node_modules/.bin/node')

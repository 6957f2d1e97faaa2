import { createContext } from 'svelte'
import type { Workspace } from '#lib/state/workspace.svelte.ts'

const [get, set] = createContext<Workspace>()

/** The open app, for the pages of its tabs. */
export const workspaceContext = { get, set }

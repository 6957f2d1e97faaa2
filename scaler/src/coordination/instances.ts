import type { Coordination } from './types.ts'

/** The instances of this process that are open. */
const open = new WeakMap<Coordination, Set<string>>()

/**
 * Throws if the instance has an activator already: each would take the other's locks for its own. Other processes are not seen.
 * The returned function ends the instance.
 */
export function enterInstance(
  coordination: Coordination | undefined,
  instance: string | undefined,
): () => void {
  // With `members`, the embedder gives the id.
  if (!coordination || coordination.members || instance === undefined) return () => undefined
  const instances = open.get(coordination) ?? new Set()
  if (instances.has(instance))
    throw new TypeError(
      `The instance '${instance}' has an activator already. Give each activator its own \`instance\`, or leave it out.`,
    )
  open.set(coordination, instances.add(instance))
  return () => void instances.delete(instance)
}

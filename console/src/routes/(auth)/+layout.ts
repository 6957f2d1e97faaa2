import { redirect } from '@sveltejs/kit'
import { session } from '#lib/state/session.svelte.ts'

/** Who is logged in has nothing to do here. When that cannot be told, the form says why on submit. */
export async function load(): Promise<void> {
  const user = await session.find().catch(() => undefined)
  if (user) redirect(303, '/')
}

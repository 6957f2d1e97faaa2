import { redirect } from '@sveltejs/kit'
import { session } from '#lib/state/session.svelte.ts'

/** Redirects people who are logged in. When the API cannot be asked, the form tells why on submit. */
export async function load(): Promise<void> {
  const user = await session.find().catch(() => undefined)
  if (user) redirect(303, '/')
}

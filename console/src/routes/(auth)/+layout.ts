import { redirect } from '@sveltejs/kit'
import { session } from '#lib/state/session.svelte.ts'

/**
 * Redirects people who are logged in, and, while nobody has an account, from the log-in to the sign-up. When the API cannot
 * be asked, the form tells why on submit.
 */
export async function load({ url }: { url: URL }): Promise<{ needsSetup: boolean }> {
  const user = await session.find().catch(() => undefined)
  if (user) redirect(303, '/')
  const needsSetup = await session.needsSetup()
  if (needsSetup && url.pathname === '/login') redirect(303, `/signup${url.search}`)
  return { needsSetup }
}

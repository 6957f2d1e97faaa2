import { redirect } from '@sveltejs/kit'
import { session } from '#lib/state/session.svelte.ts'

export async function load({ url }: { url: URL }): Promise<void> {
  const user = await session.find()
  if (!user)
    redirect(303, url.pathname === '/' ? '/login' : `/login?next=${encodeURIComponent(url.pathname)}`)
}

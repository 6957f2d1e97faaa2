import { redirect } from '@sveltejs/kit'
import { session } from '#lib/state/session.svelte.ts'
import type { LayoutLoad } from './$types'

export const load: LayoutLoad = async ({ url, untrack }) => {
  const user = await session.find()
  // Not tracked: who is logged in does not depend on the page, and the pages below would load again with each navigation.
  const pathname = untrack(() => url.pathname)
  if (!user) redirect(303, pathname === '/' ? '/login' : `/login?next=${encodeURIComponent(pathname)}`)
}

import { redirect } from '@sveltejs/kit'
import { tabOf } from '#lib/editor/tabs.ts'
import type { PageLoad } from './$types'

/** The tabs were parameters once (`?tab=logs`): old links still open them. */
export const load: PageLoad = ({ params, url }) =>
  redirect(307, `/apps/${params.id}/${tabOf(url.searchParams.get('tab') ?? '')}`)

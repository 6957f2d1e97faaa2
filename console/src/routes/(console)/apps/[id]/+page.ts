import { ApiError } from '@fp/sdk/client'
import type { AppDetail } from '@fp/sdk/wire'
import { error } from '@sveltejs/kit'
import { client } from '#lib/api/client.ts'
import type { PageLoad } from './$types'

export const load: PageLoad = async ({ params, parent }): Promise<{ app: AppDetail }> => {
  // The layout sends away who is not logged in; without waiting for it this page would ask beside it.
  await parent()
  try {
    return { app: await client.apps.get(params.id) }
  } catch (cause) {
    // A page that is not there is no failure; anything else goes to handleError as it is.
    if (cause instanceof ApiError && cause.status === 404) error(404, cause.message)
    throw cause
  }
}

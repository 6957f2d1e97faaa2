import { ApiError } from '@fp/sdk/client'
import type { AppDetail } from '@fp/sdk/wire'
import { error } from '@sveltejs/kit'
import { client } from '#lib/api/client.ts'
import type { LayoutLoad } from './$types'

export const load: LayoutLoad = async ({ params, parent }): Promise<{ app: AppDetail }> => {
  // The layout redirects people who are not logged in. This page must wait for it before it asks the API.
  await parent()
  try {
    return { app: await client.apps.get(params.id) }
  } catch (cause) {
    // A page that does not exist is not a fault. Any other error goes to handleError.
    if (cause instanceof ApiError && cause.status === 404) error(404, cause.message)
    throw cause
  }
}

/** Where a person goes after logging in: a path of this origin only, since anybody can make a link with `?next=`. */
export function nextPage(search: Pick<URLSearchParams, 'get'>): string {
  const next = search.get('next')
  return next && /^\/(?![/\\])/.test(next) ? next : '/'
}

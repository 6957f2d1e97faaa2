/** The tabs of an app's page, in order. The URL has the open tab as `?tab=`, so that a link or a reload opens it. */
export const TABS = [
  ['code', 'Code'],
  ['logs', 'Logs'],
  ['versions', 'Versions'],
  ['environment', 'Environment'],
  ['settings', 'Settings'],
] as const
export type Tab = (typeof TABS)[number][0]

export function tabOf(search: Pick<URLSearchParams, 'get'>): Tab {
  const wanted = search.get('tab')
  return TABS.find(([tab]) => tab === wanted)?.[0] ?? 'code'
}

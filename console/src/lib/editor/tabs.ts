/** The parts of an app's page, in order; the tab is the `?tab=` of the URL, so that it can be linked to and reloaded. */
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

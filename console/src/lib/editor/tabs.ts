/** The tabs of an app's page, in order. Each is a page: `/apps/{id}/logs`. */
export const TABS = [
  ['code', 'Code'],
  ['logs', 'Logs'],
  ['versions', 'Versions'],
  ['environment', 'Environment'],
  ['settings', 'Settings'],
] as const
export type Tab = (typeof TABS)[number][0]

/** The tab of this name, or the first one. */
export function tabOf(name: string): Tab {
  return TABS.find(([tab]) => tab === name)?.[0] ?? TABS[0][0]
}

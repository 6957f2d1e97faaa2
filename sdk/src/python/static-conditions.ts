/** Apps run on Linux with this Python version. */
const PYTHON = [3, 11]
const VERSION = /^sys\.version_info\s*(>=|<=|>|<)\s*\(\s*(\d+)(?:\s*,\s*(\d+))?[^)]*\)$/
const PLATFORM = /^(?:sys\.platform|os\.name|platform\.system\(\))\s*(==|!=)\s*(["'])(\w+)\2$/
const OURS = new Set(['linux', 'posix', 'Linux'])
const MAX_CONDITION = 100

/** The value of a condition on the Python version or the operating system; undefined for any other condition. */
export function truthOf(condition: string): boolean | undefined {
  if (condition.length > MAX_CONDITION) return undefined
  const text = condition.replace(/^\(([^()]*(?:\([^()]*\)[^()]*)*)\)$/, '$1').trim()
  const platform = PLATFORM.exec(text)
  if (platform) return OURS.has(platform[3] ?? '') === (platform[1] === '==')
  const version = VERSION.exec(text)
  if (!version) return undefined
  const [, operator, major, minor = '0'] = version
  const difference = (PYTHON[0] ?? 0) - Number(major) || (PYTHON[1] ?? 0) - Number(minor)
  // A Python of this minor version is larger than (3, 11), because its version_info has more parts.
  return operator === '>=' || operator === '>' ? difference >= 0 : difference < 0
}

import { expect, test } from 'vitest'
import { isAffected, versionIn } from './version.ts'

test('versions that leak memory are recognized, and fixed ones are not affected', () => {
  const affected = [
    '4.4.29',
    '5.0.32',
    '6.0.5',
    '6.0.26',
    '6.1.0',
    '7.0.27',
    '7.3.4',
    '8.0.16',
    '8.1.0',
    '8.2.2',
  ]
  for (const version of affected) expect([version, isAffected(version)]).toEqual([version, true])
  const fixed = ['6.0.27', '6.0.28', '7.0.28', '8.0.17', '8.2.3', '8.3.0', '9.0.0']
  for (const version of fixed) expect([version, isAffected(version)]).toEqual([version, false])
})

test('the version is read from the output of mongod', () => {
  expect(versionIn('db version v6.0.27\nBuild Info: {\n    "version": "6.0.27",')).toBe('6.0.27')
  expect(versionIn('something else 1.2.3')).toBeUndefined()
})

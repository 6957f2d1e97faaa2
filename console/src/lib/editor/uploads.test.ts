import { expect, test } from 'vitest'
import { inBatches, sortFiles, whereTo } from './uploads.ts'

test('text within the limits of files is edited, all else is kept as bytes', async () => {
  const { texts, assets } = await sortFiles(
    new Map([
      ['static/site.css', new Blob(['body {}'])],
      ['data/x.csv', new Blob(['\ufeffa,b'])],
      ['static/big.css', new Blob(['x'.repeat(100 * 1024 + 1)])],
      ['static/latin1.txt', new Blob([new Uint8Array([0xe4])])],
      ['static/logo.png', new Blob(['text in a picture'])],
      ['tool.py', new Blob(['x = 1'])],
    ]),
    '',
    [],
    () => false,
  )
  expect(Object.fromEntries(texts)).toEqual({
    'static/site.css': 'body {}',
    'data/x.csv': '\ufeffa,b',
    'tool.py': 'x = 1',
  })
  expect([...assets.keys()]).toEqual(['static/big.css', 'static/latin1.txt', 'static/logo.png'])
})

test('a file goes to the chosen folder; files for browsers go to static/ if the app has that folder', async () => {
  const goesTo = async (name: string, folder = '', paths = ['app.py']): Promise<string[]> => {
    const { texts, assets } = await sortFiles(new Map([[name, new Blob()]]), folder, paths, () => false)
    return [...texts.keys(), ...assets.keys()]
  }
  expect(await goesTo('logo.png')).toEqual(['logo.png'])
  expect(await goesTo('requirements.txt')).toEqual(['requirements.txt'])
  expect(await goesTo('data/x.csv')).toEqual(['data/x.csv'])
  expect(await goesTo('logo.png', 'public/img')).toEqual(['public/img/logo.png'])
  const withStatic = ['app.py', 'static/old.css']
  for (const name of ['logo.png', 'x.woff2', 'site.css', 'site.js'])
    expect(await goesTo(name, '', withStatic)).toEqual([`static/${name}`])
  for (const name of ['conf.json', 'x.csv', 'tool.py', 'x.bin'])
    expect(await goesTo(name, '', withStatic)).toEqual([name])
  expect(await goesTo('logo.png', '', [...withStatic, 'logo.png'])).toEqual(['logo.png'])
})

test('an asset that could be edited is replaced as an asset', async () => {
  const { assets } = await sortFiles(new Map([['site.css', new Blob(['x'])]]), '', [], () => true)
  expect([...assets.keys()]).toEqual(['site.css'])
})

test('every file that was added is counted, by its folder', () => {
  expect(whereTo(['static/a.png'])).toBe('1 file added to static/')
  expect(whereTo(['a.txt', 'b.csv'])).toBe('2 files added to the top folder')
  expect(whereTo(['static/a.png', 'b.csv', 'static/c.png'])).toBe(
    '3 files added: 2 to static/, 1 to the top folder',
  )
})

test('many files go in requests that are not too large', () => {
  const files = new Map(
    Array.from({ length: 7 }, (_, n) => [`${n}`, new Blob(['x'.repeat(n === 3 ? 90 : 30)])]),
  )
  const batches = inBatches(files, { maxFiles: 3, maxTotalBytes: 70 } as never)
  expect(batches.map((batch) => [...batch.keys()])).toEqual([['0', '1'], ['2'], ['3'], ['4', '5'], ['6']])
})

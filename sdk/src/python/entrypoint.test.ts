import { describe, expect, test } from 'vitest'
import { formatEntrypoint, parseEntrypoint, uvicornCommand } from './entrypoint.ts'

describe('the notation of entrypoints', () => {
  test.each([
    ['main:app', 'uvicorn main:app'],
    ['app.main:app', 'uvicorn app.main:app'],
    ['main:create_app()', 'uvicorn main:create_app --factory'],
    ['src/main:app', 'uvicorn main:app --app-dir src'],
    ['src/shop.main:server.app', 'uvicorn shop.main:server.app --app-dir src'],
    ['app.py', 'uvicorn app:app'],
    ['app/main.py:web', 'uvicorn app.main:web'],
    ['main', 'uvicorn main:app'],
  ])('%s is what %s serves, and is written as it was read', (text, command) => {
    const entrypoint = parseEntrypoint(text)
    expect(entrypoint && formatEntrypoint(entrypoint)).toBe(text)
    expect(entrypoint && uvicornCommand(entrypoint)).toBe(command)
  })
  test.each([
    '',
    ':app',
    'main:',
    'main:app:x',
    '../main.py',
    '/main.py',
    'a/../main:app',
    'main:1x',
    'main app',
    'main..x:app',
    `${'a'.repeat(301)}`,
  ])('%j is refused', (text) => {
    expect(parseEntrypoint(text)).toBeUndefined()
  })
})

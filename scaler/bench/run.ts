import { benchCore } from './core.ts'
import { benchProxy } from './proxy.ts'

const benches = { core: benchCore, proxy: benchProxy }

const wanted = process.argv.slice(2)
for (const [name, bench] of Object.entries(benches)) {
  if (wanted.length === 0 || wanted.includes(name)) await bench()
}

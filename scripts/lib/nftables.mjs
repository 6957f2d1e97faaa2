import { existsSync } from 'node:fs'
import { aptInstall } from './mongod.mjs'
import { systemPath, works } from './run.mjs'

/** The paths where the runner looks for it (runner/src/fp_runner/network/firewall.py). They are seldom in PATH. */
const FOLDERS = ['/usr/sbin', '/sbin', '/usr/local/sbin', '/usr/bin', '/bin']

/**
 * Installs the firewall's program. Without it, apps share the machine's network. Only root can use it, and only apt is tried.
 * When it cannot be installed, the platform starts nevertheless and tells what is missing. Undefined when nothing needs to be done.
 */
export async function nftables() {
  const mode = process.env.FP_EGRESS?.trim().toLowerCase()
  const folders = [...FOLDERS, ...systemPath().split(':')]
  const wanted = process.getuid?.() === 0 && mode !== 'none' && process.env.FP_RUNTIME !== 'kubernetes'
  if (!wanted || folders.some((folder) => existsSync(`${folder}/nft`))) return undefined
  if (!(await works('apt-get', ['--version']))) return undefined
  return () =>
    aptInstall('nftables', 'it keeps apps out of private networks').catch((error) =>
      console.warn(`  ! nftables could not be installed: ${error.message.split('\n')[0]}`),
    )
}

import { lookup } from 'node:dns/promises'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { KubernetesApi } from '@fp/scaler/kubernetes'
import { KubeConfig } from '@kubernetes/client-node'
import { ensureSecrets } from './secrets.ts'

/** Time between two queries of the cluster's DNS, which caches an answer for some seconds. In ms. */
const POLL = 500

/**
 * The init container of MongoDB's pod, in the overlays that include MongoDB. It makes the Secret on the first start and
 * writes mongod's files into a folder of the pod: a mounted Secret is readable by a group, which mongod refuses. Then it waits
 * until the pod's name can be resolved: a mongod that does not find itself in its replica set's configuration serves nobody.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      namespace: { type: 'string' },
      secret: { type: 'string' },
      host: { type: 'string' },
      address: { type: 'string' },
      folder: { type: 'string' },
    },
  })
  const { namespace, secret, host, address, folder } = values as Record<keyof typeof values, string>
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromCluster()
  await using api = new KubernetesApi(kubeConfig)
  const secrets = await ensureSecrets(api, { namespace, name: secret, host })
  await keep(path.join(folder, 'password'), secrets['mongodb-password'])
  await keep(path.join(folder, 'keyfile'), secrets['mongodb-key'])
  await untilFound(host.replace(/:\d+$/, ''), address)
}

const keep = (file: string, text: string): Promise<void> => writeFile(file, text, { mode: 0o600 })

async function untilFound(name: string, address: string): Promise<void> {
  for (let round = 0; ; round++) {
    const found = await lookup(name, { all: true }).catch(() => [])
    if (found.some((one) => one.address === address)) return
    if (round % 20 === 0) console.log(`Waiting until ${name} is ${address} for the cluster's DNS`)
    await delay(POLL)
  }
}

await main()

import type { Coordination } from '@fp/scaler'
import type { Db } from 'mongodb'
import type { Log } from '../logger.ts'
import { alwaysLeader, createLeader, type Leader } from './leader.ts'
import { createMongoLease } from './lease.ts'
import { joinMembership, soleMember, type Membership, type Role } from './membership.ts'
import { createMongoCoordination } from './mongo-coordination.ts'

/** This process among all processes of the installation: which of them are alive, and which one leads. */
export interface Installation extends AsyncDisposable {
  readonly members: Membership
  readonly leader: Leader
  /** What the activators share; undefined: there is one activator. */
  readonly coordination: Coordination | undefined
}

export interface InstallationOptions {
  readonly role: Role
  /** Whether several processes of this role may run. */
  readonly shared: boolean
  readonly log: Pick<Log, 'warn'>
}

/** Joins the processes that share the database. Processes of one role elect a leader among themselves. */
export async function joinInstallation(
  db: Db,
  { role, shared, log }: InstallationOptions,
): Promise<Installation> {
  const onFailure = (name: string, error: Error): void =>
    log.warn({ err: error, work: name }, 'work of the leader failed; it is run again')
  await using started = new AsyncDisposableStack()
  if (!shared) {
    const members = soleMember()
    const leader = started.use(alwaysLeader({ onFailure }))
    const stack = started.move()
    return { members, leader, coordination: undefined, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
  const brokeOff = (error: Error): void => log.warn({ err: error }, 'other replicas cannot be reached')
  const members = started.use(await joinMembership(db, { role, onError: brokeOff }))
  const coordination = { ...createMongoCoordination(db, { onError: brokeOff }), members }
  const leader = started.use(
    createLeader({
      // Replicas of the previous fp version elect their leader with a Lease of Kubernetes.
      lease: createMongoLease(db, { name: role, isTaken: () => members.olderLive }),
      identity: members.id,
      onError: (error) => log.warn({ err: error }, 'the lease of the leader cannot be used; trying again'),
      onFailure,
    }),
  )
  const stack = started.move()
  return { members, leader, coordination, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

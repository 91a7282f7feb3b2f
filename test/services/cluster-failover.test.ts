import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ConsistencyChecker } from '../support/cluster/checker.ts'
import { monotonicMs } from '../support/cluster/clock.ts'
import { databaseFaults } from '../support/cluster/failover.ts'
import { requestListing, type ListingResponse } from '../support/cluster/listing.ts'
import type { ClusterProcess } from '../support/cluster/process-client.ts'
import { runTrial } from '../support/cluster/trial.ts'
import { ClusterWorld } from '../support/cluster/world.ts'
import { isPostgresInstalled } from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

const LEASE_MS = 1000

t.test('four processes on a database that is replaced', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const world = await ClusterWorld.start(t)
  world.rows.isReconnecting = true
  await tried(t, world)
  await idle(t, world)
})

/** @param owner the servers stop at its teardown */
async function tried(owner: Test, world: ClusterWorld): Promise<void> {
  await owner.test('no response is older than its lease allows, also if the database loses changes', async (t) => {
    const report = await runTrial(world, {
      leaseMs: LEASE_MS,
      durationMs: 25_000,
      isBroken: false,
      moreFaults: (random) => databaseFaults(owner, world, random)
    })
    for (const comment of report.comments) t.comment(comment)
    t.same(report.violations.slice(0, 5), [])
    for (const fault of ['failover', 'failover with loss', 'restore']) t.ok(report.faultCounts[fault], fault)
    t.ok(report.lostChanges > 3, 'the database has lost changes')
    t.ok(report.listings > 500 && report.hits > 200 && report.changes > 20 && report.lost > 20, 'enough responses')
  })

  await owner.test('the service recovers by itself', async (t) => {
    const id = await world.rows.add('recovered', 'recovered')
    for (const process of world.processes) {
      await until(async () => {
        const { listing } = await requestListing(process, { userId: 'recovered', folder: 'folder', connectionId: id })
        return listing?.view.account === 'recovered'
      })
    }
    t.ok(world.processes.every(({ isAlive }) => isAlive))
  })
}

async function idle(owner: Test, world: ClusterWorld): Promise<void> {
  const { rows, processes } = world
  const list = (process: ClusterProcess) => requestListing(process, { userId: 'ann', folder: 'folder' })
  const isOf = (account: string) => (response: ListingResponse) => response.listing?.view.account === account

  /** Requests until the account is listed, or until it should long have been. */
  async function ask(process: ClusterProcess, account: string, since: number): Promise<ListingResponse[]> {
    const responses: ListingResponse[] = []
    do {
      responses.push(await list(process))
      await setTimeout(5)
    } while (!isOf(account)(responses.at(-1)!) && monotonicMs() < since + 5 * LEASE_MS)
    return responses
  }

  const prepareFailover = async () => {
    const replica = await world.server.startReplica(owner)
    await replica.catchUp()
    await replica.disconnect()
    return () => world.failOverTo(replica)
  }
  for (const [what, prepare] of [
    ['a failover', prepareFailover],
    ['a restore', () => world.server.backUp()]
  ] as const) {
    await owner.test(`idle processes, which poll nothing meanwhile, notice ${what}`, async (t) => {
      await world.serve({ leaseMs: LEASE_MS })
      const id = await rows.add('ann', 'account')
      const replace = await prepare()
      const preparedAt = monotonicMs()
      world.verdict = () => 'drop'
      await rows.replaceAccount('ann', id, 'lost')
      for (const process of processes) t.ok((await ask(process, 'lost', monotonicMs())).some(isOf('lost')))
      // So that no poll is in flight.
      await setTimeout(2 * LEASE_MS)
      await rows.replaceDatabase(preparedAt, replace)
      const replacedAt = monotonicMs()
      const responses = await Promise.all(processes.map((process) => ask(process, 'account', replacedAt)))
      const checker = new ConsistencyChecker(rows.history, LEASE_MS)
      t.same(
        responses.flat().flatMap((response) => checker.check(response).violations),
        []
      )
      t.ok(responses.every((each) => each.some(isOf('account'))))
    })
  }
}

import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { monotonicMs, waitUntil } from '../support/cluster/clock.ts'
import type { RowState } from '../support/cluster/history.ts'
import { requestListing, type ListingResponse } from '../support/cluster/listing.ts'
import { runTrial, type TrialOptions, type TrialReport } from '../support/cluster/trial.ts'
import { ClusterWorld } from '../support/cluster/world.ts'
import { isPostgresInstalled } from '../support/database/postgres.ts'
import { requireService } from '../support/process/services.ts'
import { until } from '../support/time/until.ts'

t.test('four processes on one database', async (t) => {
  if (!requireService(t, 'postgres', isPostgresInstalled)) return
  const world = await ClusterWorld.start(t)

  await t.test('no response is older than its lease allows, whatever messages and services fail', async (t) => {
    const report = await trial(t, world, { leaseMs: 1000, durationMs: 30_000 })
    t.same(report.violations.slice(0, 5), [])
    t.ok(report.listings > 1500 && report.hits > 500 && report.unmodified > 50, 'enough responses')
    t.ok(report.changes > 80 && report.lost > 80 && report.late > 30, 'enough changes without a notification')
    for (const fault of ['blackhole', 'reset', 'terminate', 'pause']) t.ok(report.faultCounts[fault]! > 1, fault)
    // Requests in the second half of a lease renew it: few responses are older than a half.
    t.ok(report.stale > 20 && report.maxStaleMs > 200, 'lost notifications had an effect')
    t.ok(report.borderline < 3 && report.slack.p99Ms < 500, 'responses were sent soon after their last check')
  })

  await t.test('the same with the default lease', async (t) => {
    const report = await trial(t, world, { leaseMs: 2000, durationMs: 10_000 })
    t.same(report.violations.slice(0, 5), [])
    t.ok(report.hits > 200 && report.changes > 25 && report.lost > 25 && report.stale > 20)
  })

  await t.test('the same without LISTEN', async (t) => {
    const report = await trial(t, world, { leaseMs: 500, durationMs: 8_000, isListening: false, isBroken: false })
    t.same(report.violations.slice(0, 5), [])
    t.ok(report.hits > 100 && report.changes > 20 && report.stale > 5)
    t.equal(report.lost + report.late, 0, 'there are no notifications to lose')
  })

  await t.test('with polls that report no changes, lost messages are detected: this test can fail', async (t) => {
    const report = await trial(t, world, { leaseMs: 1000, durationMs: 8_000, isBroken: false, isPolling: false })
    t.ok(report.violations.length > 10, `${report.violations.length} responses break the promise`)
    t.ok(report.lost > 20)
  })

  await t.test('with a lease longer than promised, lost messages are detected: this test can fail', async (t) => {
    const options = { leaseMs: 3_600_000, promisedMs: 1000, durationMs: 8_000, isBroken: false }
    const report = await trial(t, world, options)
    t.ok(report.violations.length > 10, `${report.violations.length} responses break the promise`)
    t.ok(report.lost > 20)
  })

  await outage(t, world)
})

/** Runs a trial and makes the checks that apply to all trials. */
async function trial(t: Test, world: ClusterWorld, options: TrialOptions): Promise<TrialReport> {
  const report = await runTrial(world, options)
  for (const comment of report.comments) t.comment(comment)
  const { requested: asked, listed } = report.steady
  t.ok(asked > 100 && listed / asked > 0.98, 'a steady connection gets a listing')
  const other = Object.keys(report.errorCounts).filter((code) => !ABOUT_ROWS.has(code))
  t.ok(
    other.every((code) => code === 'DATABASE_UNAVAILABLE'),
    other.join()
  )
  return report
}

const ABOUT_ROWS = new Set(['CONNECTION_INACTIVE', 'CONNECTION_MISSING', 'CONNECTION_NOT_FOUND'])

/** Enough time to receive a notification: a lease takes much longer. */
const HEARD_MS = 1000
const ASKED_MS = 25

async function outage(t: Test, world: ClusterWorld): Promise<void> {
  await t.test('a database that stops for ten seconds', async (t) => {
    const { rows, server, processes, listeners } = world
    const leaseMs = 2000
    await world.serve({ leaseMs })
    const users = ['ann', 'ben', 'cid']
    for (const userId of users) await rows.add(userId, `account of ${userId}`.replaceAll(' ', '-'))
    const answers = processes.map((): ListingResponse[] => [])
    const enough = new AbortController()
    const asking = processes.flatMap((process, n) =>
      users.map(async (userId) => {
        while (!enough.signal.aborted) {
          answers[n]!.push(await requestListing(process, { userId, folder: 'folder' }))
          await setTimeout(ASKED_MS)
        }
      })
    )
    const listed = ({ status }: ListingResponse) => status === 200

    await until(() => answers.every((said) => said.length > 50))
    t.ok(answers.flat().every(listed))
    await server.stop()
    const stoppedAt = monotonicMs()
    await waitUntil(stoppedAt + 10_000)
    const startingAt = monotonicMs()
    await server.start()
    const startedAt = monotonicMs()

    await t.test('cached listings are served for a lease, and then requests answer 503', async (t) => {
      const said = answers.flat().filter(({ arrivedAt, sentAt }) => arrivedAt > stoppedAt && sentAt < startingAt)
      const kept = said.filter(listed)
      t.ok(kept.length > 0 && kept.every(({ isHit }) => isHit), `${kept.length} listings without a database`)
      t.ok(kept.every(({ lastCheckedAfter: lookedAfter }) => lookedAfter < stoppedAt + leaseMs))
      const refused = said.filter((answer) => !listed(answer))
      t.ok(refused.length > 100)
      for (const { status, code } of refused) if (code !== 'DATABASE_UNAVAILABLE') t.fail(`${status} ${code ?? ''}`)
      t.ok(refused.every(({ status, retryAfter }) => status === 503 && Number(retryAfter) > 0))
    })

    await t.test('the service recovers by itself', async (t) => {
      await until(() => answers.every((said) => said.some((answer) => answer.sentAt > startedAt && listed(answer))))
      t.comment(`listings again after ${Math.round(monotonicMs() - startedAt)} ms`)
      const names = listeners.map(({ applicationName }) => applicationName)
      await until(async () => (await rows.sessions(names)) === names.length)
      t.comment(`listeners again after ${Math.round(monotonicMs() - startedAt)} ms`)
      t.ok(processes.every(({ isAlive }) => isAlive))
    })

    await t.test('notifications of changes arrive again', async (t) => {
      const seenAt = answers.map((said) => said.length)
      await until(() => answers.every((said, n) => said.length > seenAt[n]! + 2 * users.length))
      const [{ id }] = rows.rowsOf('ann') as [RowState]
      const committedAt = await rows.deactivate('ann', id)
      const refused = ({ code }: ListingResponse) => code === 'CONNECTION_INACTIVE'
      await until(() => answers.every((said) => said.some(refused)))
      const heardMs = answers.map((said) => said.find(refused)!.sentAt - committedAt)
      t.comment(`after ${heardMs.map(Math.round).join(', ')} ms`)
      t.ok(heardMs.every((ms) => ms < HEARD_MS))
    })
    enough.abort()
    await Promise.all(asking)
  })
}

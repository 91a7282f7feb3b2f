import { setTimeout } from 'node:timers/promises'
import type { Test } from 'tap'
import { monotonicMs } from './clock.ts'
import type { Faults } from './nemesis.ts'
import type { ClusterRandom } from './random.ts'
import type { ClusterWorld } from './world.ts'

/** How long changes are made that the next database lacks. */
const LOSS_MS = [1_000, 3_000] as const
const PAUSE_SHARE = 0.5

/**
 * The ways in which the database is replaced while the processes run. Its transaction ids and rows go back if it loses
 * changes.
 *
 * @param t the replicas stop at its teardown
 */
export function databaseFaults(t: Test, world: ClusterWorld, random: ClusterRandom): Faults {
  const { rows } = world
  /** No row changes during `prepare` and `run`. A process that is paused cannot notice that it has lost its sessions. */
  const replace = async (lossMs: number, prepare: () => Promise<unknown>, run: () => Promise<void>) => {
    const since = await rows.exclusively(async () => {
      await prepare()
      return monotonicMs()
    })
    await setTimeout(lossMs)
    await rows.exclusively(async () => {
      const process = random.chance(PAUSE_SHARE) ? random.pick(world.processes) : undefined
      process?.pause()
      await rows.replaceDatabase(since, run).finally(() => process?.resume())
    })
  }
  const failOver = async (lossMs: number) => {
    const replica = await world.server.startReplica(t)
    const disconnect = async () => {
      await replica.catchUp()
      await replica.disconnect()
    }
    await replace(lossMs, disconnect, () => world.failOverTo(replica))
  }
  return {
    failover: () => failOver(0),
    'failover with loss': () => failOver(random.between(...LOSS_MS)),
    restore: async () => {
      let restore = async () => {}
      const backUp = async () => (restore = await world.server.backUp())
      await replace(random.between(...LOSS_MS), backUp, () => restore())
    }
  }
}

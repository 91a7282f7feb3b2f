import t from 'tap'
import { createTestConnections } from '../support/database/connections.ts'
import { MemoryConnections } from '../support/database/memory-connections.ts'
import { ManualClock } from '../support/time/clock.ts'
import { nextTurn } from '../support/time/deferred.ts'

const HOUR = 3_600_000

t.test('a use is stored once per hour and connection, and a failure is reported', async (t) => {
  const clock = new ManualClock()
  const noted: unknown[][] = []
  const failures: unknown[] = []
  let isDown = false
  const store = new MemoryConnections()
  store.recordUse = async (...args) => {
    noted.push(args)
    if (isDown) throw new Error('down')
  }
  const connections = createTestConnections({ store, clock, onRecordFailure: (error) => failures.push(error) })
  const [a, b] = [
    { userId: 'ann', id: 'a' },
    { userId: 'ann', id: 'b' }
  ]
  connections.recordUse(a)
  connections.recordUse(a)
  connections.recordUse(b)
  clock.tick(HOUR - 1)
  connections.recordUse(a)
  t.same(noted, [
    ['ann', 'a', HOUR],
    ['ann', 'b', HOUR]
  ])
  clock.tick(1)
  isDown = true
  connections.recordUse(a)
  await nextTurn()
  t.equal(noted.length, 3)
  t.match(failures, [{ message: 'down' }])
})

import t from 'tap'
import { createRecordUse } from '../../src/connections/connections.ts'
import { ManualClock } from '../support/time/clock.ts'
import { nextTurn } from '../support/time/deferred.ts'

const HOUR = 3_600_000

t.test('a use is stored once per hour and connection, and a failure is reported', async (t) => {
  const clock = new ManualClock()
  const noted: unknown[][] = []
  const failures: unknown[] = []
  let isDown = false
  const noteUse = createRecordUse({
    clock,
    connections: {
      recordUse: async (...args) => {
        noted.push(args)
        if (isDown) throw new Error('down')
      }
    },
    onFailure: (error) => failures.push(error)
  })
  const [a, b] = [
    { userId: 'ann', id: 'a' },
    { userId: 'ann', id: 'b' }
  ]
  noteUse(a)
  noteUse(a)
  noteUse(b)
  clock.tick(HOUR - 1)
  noteUse(a)
  t.same(noted, [
    ['ann', 'a', HOUR],
    ['ann', 'b', HOUR]
  ])
  clock.tick(1)
  isDown = true
  noteUse(a)
  await nextTurn()
  t.equal(noted.length, 3)
  t.match(failures, [{ message: 'down' }])
})

import t from 'tap'
import { InFlightLimit, MinuteLimit } from '../../src/core/user-limits.ts'
import { type UserEntry, UserShares } from '../../src/core/user-shares.ts'
import { ManualClock } from '../support/time/clock.ts'

const REFUSED = { code: 'TOO_MANY_REQUESTS', message: 'Too many.' }

t.test('an operation is counted until the last holder of its slot has released it, once each', async (t) => {
  const limit = new InFlightLimit(1, 'Too many.')
  const slot = limit.acquire('ann')
  const [response, body] = [slot.hold(), slot.hold()]
  response()
  response()
  t.throws(() => limit.acquire('ann'), { ...REFUSED, retryAfterMs: 1000 }, 'the body still holds the slot')
  limit.acquire('bob').hold()
  body()
  const next = limit.acquire('ann').hold()
  slot.hold()()
  t.throws(() => limit.acquire('ann'), REFUSED, 'a released slot stays released')
  next()
  limit.acquire('ann')
})

t.test('a user has a limited number of events per minute and scope', async (t) => {
  const clock = new ManualClock()
  const limit = new MinuteLimit(2, 'Too many.', clock)
  limit.consume('ann', 'a.example')
  clock.tick(20_000)
  limit.consume('ann', 'a.example')
  t.throws(() => limit.begin('ann', 'a.example'), { ...REFUSED, retryAfterMs: 40_000 })
  limit.begin('ann', 'b.example').end(false)
  limit.begin('bob', 'a.example').end(true)
  clock.tick(39_999)
  t.match(limit.limitError('ann', 'a.example'), { retryAfterMs: 1 })
  clock.tick(1)
  limit.consume('ann', 'a.example')
  t.match(limit.limitError('ann', 'a.example'), { retryAfterMs: 20_000 }, 'the minute is a sliding window')
})

t.test('attempts in flight count as events until they end, and only once', async (t) => {
  const limit = new MinuteLimit(5, 'Too many.', new ManualClock())
  const outcomes = Array.from({ length: 11 }, () => {
    try {
      return limit.begin('ann', 'a.example')
    } catch {
      return null
    }
  })
  const begun = outcomes.filter((attempt) => attempt !== null)
  t.equal(begun.length, 5)
  t.match(limit.limitError('ann', 'a.example'), { retryAfterMs: 1000 }, 'one of them may end at any moment')
  begun[0]?.end(false)
  begun[0]?.end(true)
  limit.begin('ann', 'a.example').end(false)
  for (const attempt of begun) attempt.end(true)
  limit.begin('ann', 'a.example').end(true)
  t.throws(() => limit.begin('ann', 'a.example'), REFUSED)
})

t.test('a user cannot reset the count of one scope by using others', async (t) => {
  const clock = new ManualClock()
  const limit = new MinuteLimit(1, 'Too many.', clock)
  limit.consume('ann', 'victim.example')
  let refused = 0
  for (let count = 0; count < 1000; count++) {
    if (limit.limitError('ann', `other-${count}.example`) === undefined) limit.consume('ann', `other-${count}.example`)
    else refused += 1
  }
  t.ok(refused > 900, 'memory per user is limited')
  t.throws(() => limit.begin('ann', 'victim.example'), REFUSED)
  limit.consume('bob', 'victim.example')
  clock.tick(60_000)
  limit.consume('ann', 'victim.example')
})

interface Cached extends UserEntry<Cached> {
  readonly userId: string
}

t.test('an entry larger than the share of its user is an error: evicting others would never make room', async (t) => {
  const shares = new UserShares<Cached>(10, 1000)
  const entry: Cached = { userId: 'ann', size: 0, lessRecent: undefined, moreRecent: undefined }
  t.throws(() => {
    shares.add(entry, 1001)
  }, new RangeError('An entry of 1001 bytes exceeds the share of its user.'))
  t.equal(shares.bytesOf('ann'), 0)
  shares.add(entry, 1000)
  t.throws(() => {
    shares.resize(entry, 1001)
  }, RangeError)
  t.equal(shares.bytesOf('ann'), 1000)
  t.equal(shares.evictionCandidate('ann'), undefined)
})

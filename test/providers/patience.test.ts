import t from 'tap'
import { failure } from '../../src/providers/shared/http-failure.ts'
import { Patience } from '../../src/providers/shared/patience.ts'

const passing = failure('PROVIDER_UNAVAILABLE')

const { signal } = new AbortController()

t.test('what may pass is waited for five times in a row, and what will not is not', async (t) => {
  const waits: number[] = []
  const patience = new Patience(signal, async (ms) => {
    waits.push(ms)
  })
  for (let turn = 0; turn < 2; turn++) {
    for (let failures = 0; failures < 5; failures++) await patience.outlive(passing)
    patience.restore()
  }
  for (let failures = 0; failures < 5; failures++) await patience.outlive(passing)
  await t.rejects(patience.outlive(passing), passing)
  t.equal(waits.length, 15)
  for (const [count, wait] of waits.entries()) t.ok(wait >= 0 && wait <= 100 * 2 ** (count % 5), `${wait} ms`)
  for (const error of [failure('ACCESS_DENIED'), new Error('a bug')]) {
    const other = new Patience(signal)
    await t.rejects(other.outlive(error), error)
  }
})

t.test('nobody waits for half a minute', async (t) => {
  const patience = new Patience(signal)
  await t.rejects(patience.outlive(passing, 30_001), passing)
})

t.test('a caller who leaves does not wait', async (t) => {
  const controller = new AbortController()
  const patience = new Patience(controller.signal)
  const waiting = patience.outlive(passing, 29_000)
  const reason = new Error('enough')
  controller.abort(reason)
  await t.rejects(waiting, reason)
  await t.rejects(patience.outlive(passing), reason)
})

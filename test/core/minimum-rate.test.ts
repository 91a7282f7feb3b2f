import { PassThrough, Readable } from 'node:stream'
import t from 'tap'
import { IncomingBody } from '../../src/http/upload-body.ts'
import { TransferBody } from '../../src/providers/shared/transfer-body.ts'
import { nextTurn } from '../support/time/deferred.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'

const MINUTES = 60_000

/** An upload with a client and a reader that the test controls. */
function upload() {
  const client = new PassThrough({ highWaterMark: 1 })
  const body = new IncomingBody(client, { maxBytes: undefined, idleMs: MINUTES, minBytesPerSecond: 1024 })
  return { client, body }
}

function download() {
  const source = new PassThrough({ highWaterMark: 1 })
  const { signal } = new AbortController()
  const toError = (error: unknown): Error => error as Error
  const body = new TransferBody(source, { expected: null, idleMs: 5 * MINUTES, signal, toError })
  return { source, body }
}

t.test('an upload of one byte every ten seconds is ended', async (t) => {
  const tick = useManualTimers(t, ['setTimeout', 'setInterval'])
  const { client, body } = upload()
  body.resume()
  for (let seconds = 0; seconds < 30; seconds += 10) {
    t.equal(body.destroyed, false, `after ${seconds} s`)
    client.write('x')
    await nextTurn()
    tick(10_000)
  }
  t.match(body.failure, { code: 'INVALID_REQUEST', message: /slower than 1024 bytes per second/ })
})

t.test('an upload of 8 KB per second passes, steadily or in bursts', async (t) => {
  const tick = useManualTimers(t, ['setTimeout', 'setInterval'])
  for (const everyS of [1, 10, 25]) {
    const { client, body } = upload()
    body.resume()
    for (let seconds = 0; seconds < 600; seconds += everyS) {
      client.write(Buffer.alloc(8192 * everyS))
      await nextTurn()
      tick(everyS * 1000)
    }
    t.equal(body.failure, undefined, `every ${everyS} s`)
    body.destroy()
  }
})

t.test('an upload that the provider does not read is not slow, however long that takes', async (t) => {
  const tick = useManualTimers(t, ['setTimeout', 'setInterval'])
  const { client, body } = upload()
  client.write(Buffer.alloc(1024 * 1024))
  body.read(0)
  await nextTurn()
  tick(60 * MINUTES)
  t.equal(body.failure, undefined)
  // The provider reads one chunk a minute.
  for (let minute = 0; minute < 60; minute++) {
    body.read(1024)
    await nextTurn()
    tick(MINUTES)
  }
  t.equal(body.failure, undefined)
  t.equal(body.destroyed, false)
  body.destroy()
})

t.test('time in which the provider did not read does not compensate a slow client later', async (t) => {
  const tick = useManualTimers(t, ['setTimeout', 'setInterval'])
  const { client, body } = upload()
  client.write(Buffer.alloc(1024 * 1024))
  body.read(0)
  await nextTurn()
  tick(60 * MINUTES)
  body.resume()
  await nextTurn()
  // A window with the burst, and one with single bytes only.
  for (let seconds = 0; seconds < 70 && body.failure === undefined; seconds += 10) {
    client.write('x')
    await nextTurn()
    tick(10_000)
  }
  t.match(body.failure, { code: 'INVALID_REQUEST' })
})

t.test('a download that arrives byte by byte is ended, and one that waits for its reader is not', async (t) => {
  const tick = useManualTimers(t, ['setTimeout', 'setInterval'])
  const dripping = download()
  let failure: unknown
  dripping.body.on('error', (error) => (failure = error)).resume()
  for (let seconds = 0; seconds < 60; seconds += 10) {
    t.equal(failure, undefined, `after ${seconds} s`)
    dripping.source.write('x')
    await nextTurn()
    tick(10_000)
  }
  await nextTurn()
  t.match(failure, { code: 'PROVIDER_TIMEOUT', message: /too slowly/ })

  const waiting = download()
  waiting.source.write(Buffer.alloc(1024 * 1024))
  // A reader that reads nothing for five minutes is a different case.
  for (let minute = 0; minute < 4; minute++) {
    waiting.body.read(1024)
    await nextTurn()
    tick(MINUTES)
  }
  t.equal(waiting.body.destroyed, false)
  waiting.body.destroy()
})

t.test('a body that has ended has no more timers', async (t) => {
  const tick = useManualTimers(t, ['setTimeout', 'setInterval'])
  const body = new IncomingBody(Readable.from([Buffer.from('short')], { objectMode: false }), {
    maxBytes: undefined,
    idleMs: MINUTES,
    minBytesPerSecond: 1024
  })
  body.resume()
  await nextTurn()
  await nextTurn()
  tick(10 * MINUTES)
  t.equal(body.failure, undefined)
})

import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import t from 'tap'
import { StorageError } from '../../src/errors.ts'
import { interceptCalls, runCall } from '../../src/layers/layer.ts'
import { type LeaseVerifier, withLease } from '../../src/layers/lease.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { entry, page, ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { until } from '../support/time/until.ts'

const signal = new AbortController().signal
const inactive = () => new StorageError('CONNECTION_INACTIVE', 'scripted')
const unavailable = () => new StorageError('DATABASE_UNAVAILABLE', 'scripted')

/** A backend with a scripted body, behind scripted confirmations. */
function make(confirm: LeaseVerifier['confirm'], leaseMs = 60) {
  const bare = new ScriptedBackend()
  const body = new PassThrough()
  bare.download = async () => ({ body, size: null, range: null, mimeType: null, etag: null, modifiedAt: null })
  const asked: number[] = []
  const watch = {
    leaseMs,
    confirm: (withinMs: number) => {
      asked.push(withinMs)
      return confirm(withinMs)
    }
  }
  return { bare, body, asked, backend: interceptCalls(bare, withLease(runCall, watch)) }
}

t.test('calls that disclose data return while the connection may be used', async (t) => {
  const { backend, asked, body } = make(async () => {})
  await backend.listFolder(null, { signal, limit: 1 })
  await backend.stat('a', { signal })
  t.same(asked, [60, 60])
  const download = await backend.download('a', { signal })
  t.equal(download.body, body)
  t.same(asked, [60, 60, 30])
  body.destroy()
})

t.test('a connection that was changed during a call discloses nothing', async (t) => {
  const { backend, body } = make(() => Promise.reject(inactive()))
  await t.rejects(backend.listFolder(null, { signal, limit: 1 }), { code: 'CONNECTION_INACTIVE' })
  await t.rejects(backend.stat('a', { signal }), { code: 'CONNECTION_INACTIVE' })
  await t.rejects(backend.download('a', { signal }), { code: 'CONNECTION_INACTIVE' })
  t.ok(body.destroyed, 'the body is destroyed')
})

t.test('writes are reported as successful, and calls of account() are not checked', async (t) => {
  const { bare, asked } = make(() => Promise.reject(inactive()))
  const writable = Object.assign(bare, {
    remove: async () => {},
    createFolder: async () => entry('x'),
    upload: async () => entry('x')
  })
  const verifier = { leaseMs: 60, confirm: () => Promise.reject(inactive()) }
  const backend = interceptCalls(writable, withLease(runCall, verifier))
  await backend.remove?.('x', { signal })
  await backend.createFolder?.(null, 'x', { signal })
  await backend.upload?.({ id: 'x' }, new PassThrough(), { signal })
  await backend.account({ signal })
  t.same(asked, [])
})

t.test('a failure of the backend is passed on without a check', async (t) => {
  const { bare, backend, asked } = make(async () => {})
  bare.list = () => Promise.reject(new StorageError('FOLDER_NOT_FOUND', 'gone'))
  await t.rejects(backend.listFolder(null, { signal, limit: 1 }), { code: 'FOLDER_NOT_FOUND' })
  t.same(asked, [])
})

t.test('a body is destroyed when its connection has been removed', async (t) => {
  let isGone = false
  const { backend, body, asked } = make(async () => {
    if (isGone) throw inactive()
  })
  const { body: handed } = await backend.download('a', { signal })
  body.write('x')
  await until(() => asked.length > 4)
  t.notOk(handed.destroyed)
  isGone = true
  const [error] = (await once(handed, 'error')) as [StorageError]
  t.equal(error.code, 'CONNECTION_INACTIVE')
})

t.test('destroying an unread body does not end the process', async (t) => {
  let isGone = false
  const { backend } = make(async () => {
    if (isGone) throw inactive()
  })
  const { body } = await backend.download('a', { signal })
  isGone = true
  await until(() => body.closed)
  t.match(body.errored, { code: 'CONNECTION_INACTIVE' })
})

t.test('a body whose connection cannot be confirmed is destroyed within its lease', async (t) => {
  for (const fault of ['hangs', 'fails'] as const) {
    let isDown = false
    const { backend } = make(() => {
      if (!isDown) return Promise.resolve()
      return fault === 'hangs' ? new Promise(() => {}) : Promise.reject(unavailable())
    })
    const { body } = await backend.download('a', { signal })
    isDown = true
    const [error] = (await once(body, 'error')) as [StorageError]
    t.equal(error.code, 'DATABASE_UNAVAILABLE', fault)
  }
})

t.test('a database outage that is shorter than the lease does not interrupt a body', async (t) => {
  let failures = 0
  const { backend, asked } = make(async () => {
    if (asked.length > 1 && failures < 1) {
      failures += 1
      throw unavailable()
    }
  }, 600)
  const { body } = await backend.download('a', { signal })
  await until(() => asked.length > 3)
  t.equal(failures, 1)
  t.notOk(body.destroyed)
  body.destroy()
})

t.test('a finished body is not checked any more', async (t) => {
  const answer = new Deferred<void>()
  const { backend, asked } = make(() => (asked.length < 2 ? Promise.resolve() : answer.promise))
  const { body } = await backend.download('a', { signal })
  await until(() => asked.length === 2)
  let error: unknown
  body.on('error', (failure) => (error = failure))
  body.destroy()
  await once(body, 'close')
  answer.reject(inactive())
  await nextTurn()
  t.equal(error, undefined)
  t.equal(body.listenerCount('close'), 0)
  const { backend: closed, body: gone, asked: later } = make(async () => {})
  gone.destroy()
  await once(gone, 'close')
  await closed.download('a', { signal })
  t.equal(later.length, 1)
})

t.test('a listing is not checked after its response', async (t) => {
  const { bare, backend, asked } = make(async () => {})
  bare.list = async () => page([])
  await backend.listFolder(null, { signal, limit: 1 })
  t.equal(asked.length, 1)
})

import { PassThrough } from 'node:stream'
import t from 'tap'
import type { Egress, HttpRequest } from '../../src/core/egress.ts'
import { StorageError } from '../../src/errors.ts'
import { HostTrail } from '../../src/core/host-trail.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import { ConnectionHealth } from '../../src/layers/health.ts'
import {
  type CallRunner,
  interceptCalls,
  type Layer,
  runCall,
  withDetails,
  withStorageErrors
} from '../../src/layers/layer.ts'
import { withDeadline } from '../../src/layers/retry.ts'
import { useManualTimers } from '../support/time/manual-timers.ts'
import { ScriptedBackend } from '../support/backend/scripted-backend.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { ManualClock } from '../support/time/clock.ts'

const signal = new AbortController().signal

t.test('a layer passes every call on and adds no capability', async (t) => {
  const calls: string[] = []
  const bare = new ScriptedBackend()
  const layered = interceptCalls(bare, (call, outer, run) => {
    calls.push(call)
    return run(outer)
  })
  t.equal(layered.provider, bare.provider)
  t.equal(layered.capabilities, bare.capabilities)
  for (const absent of ['upload', 'remove', 'createFolder', 'downloadUrl'] as const) t.notOk(absent in layered)
  await layered.listFolder('f', { limit: 3, signal })
  await layered.stat('a', { signal })
  await layered.download('a', { signal })
  await layered.account({ signal })
  t.same(calls, ['listFolder', 'stat', 'download', 'account'])
  t.equal(bare.listCalls[0]?.call.limit, 3)

  const full: StorageBackend = Object.assign(new ScriptedBackend(), {
    upload: async () => bare.stat('up'),
    remove: async () => undefined,
    createFolder: async () => bare.stat('made'),
    downloadUrl: async () => ({ url: 'https://x.example', expiresAt: new Date(0) })
  })
  const dressed = interceptCalls(full, (call, outer, run) => {
    calls.push(call)
    return run(outer)
  })
  calls.length = 0
  t.equal((await dressed.upload?.({ id: 'a' }, new PassThrough(), { signal }))?.id, 'up')
  await dressed.remove?.('a', { signal })
  t.equal((await dressed.createFolder?.(null, 'n', { signal }))?.id, 'made')
  t.match(await dressed.downloadUrl?.('a', { signal, expiresInMs: 1 }), { url: 'https://x.example' })
  t.same(calls, ['upload', 'remove', 'createFolder', 'downloadUrl'])
})

t.test('a hanging call ends at its deadline, even if the backend ignores its signal', async (t) => {
  const tick = useManualTimers(t)
  const bare = new ScriptedBackend()
  bare.list = () => new Promise(() => undefined)
  const pending = interceptCalls(bare, withDeadline(runCall, 30_000)).listFolder(null, { limit: 1, signal })
  tick(29_999)
  t.equal(bare.listCalls[0]?.call.signal.aborted, false)
  tick(1)
  await t.rejects(pending, { code: 'PROVIDER_TIMEOUT' })
  t.equal(bare.listCalls[0]?.call.signal.aborted, true)
})

t.test('an aborted call ends with the caller’s reason', async (t) => {
  const bare = new ScriptedBackend()
  bare.list = () => new Promise(() => undefined)
  const controller = new AbortController()
  const pending = interceptCalls(bare, withDeadline(runCall, 60_000)).listFolder(null, {
    limit: 1,
    signal: controller.signal
  })
  controller.abort(new Error('gone'))
  await t.rejects(pending, { message: 'gone' })
  t.equal(bare.listCalls[0]?.call.signal.aborted, true)
  await t.rejects(
    interceptCalls(bare, withDeadline(runCall, 60_000)).listFolder(null, { limit: 1, signal: controller.signal }),
    {
      message: 'gone'
    }
  )
  t.equal(bare.listCalls.length, 1, 'an aborted signal starts no call')
})

t.test('a download has the deadline until its body begins, and the caller’s signal for its body', async (t) => {
  const tick = useManualTimers(t)
  const bare = new ScriptedBackend()
  const body = new PassThrough()
  let inner: AbortSignal | undefined
  const backend: StorageBackend = Object.assign(bare, {
    download: (_id: string, call: { signal: AbortSignal }) => {
      inner = call.signal
      call.signal.addEventListener('abort', () => body.destroy(call.signal.reason as Error))
      return Promise.resolve({ body, size: null, range: null, mimeType: null, etag: null, modifiedAt: null })
    }
  })
  const controller = new AbortController()
  const { body: got } = await interceptCalls(backend, withDeadline(runCall, 30_000)).download('a', {
    signal: controller.signal
  })
  tick(60_000)
  t.equal(inner?.aborted, false, 'the deadline does not apply once the body has begun')
  const failed = new Promise((resolve) => got.once('error', resolve))
  controller.abort(new Error('client gone'))
  t.match(await failed, { message: 'client gone' })
})

t.test('an unknown error becomes PROVIDER_ERROR with a message that reveals nothing', async (t) => {
  const bare = new ScriptedBackend()
  const backend = interceptCalls(bare, withStorageErrors(runCall))
  bare.list = () => Promise.reject(new Error('Bearer SECRET'))
  await t.rejects(backend.listFolder(null, { limit: 1, signal }), {
    code: 'PROVIDER_ERROR',
    message: /^((?!SECRET).)*$/
  })
  bare.list = () => Promise.reject(new StorageError('FOLDER_NOT_FOUND', 'gone'))
  await t.rejects(backend.listFolder(null, { limit: 1, signal }), { code: 'FOLDER_NOT_FOUND' })
  const left = AbortSignal.abort(new Error('left'))
  bare.list = (_folder, call) => Promise.reject(call.signal.reason as Error)
  await t.rejects(backend.listFolder(null, { limit: 1, signal: left }), { message: 'left' })
})

function uploading(...layers: Layer[]): StorageBackend {
  const bare: StorageBackend = Object.assign(new ScriptedBackend(), {
    upload: async (_target: unknown, body: PassThrough) => {
      body.resume()
      return new ScriptedBackend().stat('up')
    }
  })
  return interceptCalls(
    bare,
    layers.reduceRight<CallRunner>((next, layer) => layer(next), runCall)
  )
}

t.test('a layer that refuses an upload destroys its source', async (t) => {
  const body = new PassThrough()
  const backend = uploading(() => () => Promise.reject(new Error('refused')))
  await t.rejects(
    async () => {
      await backend.upload?.({ id: 'a' }, body, { signal })
    },
    { message: 'refused' }
  )
  t.equal(body.destroyed, true)
})

t.test('an error of the source while a layer waits is handled', async (t) => {
  const waiting = new Deferred<undefined>()
  const backend = uploading((next) => async (...call) => {
    await waiting.promise
    return next(...call)
  })
  const body = new PassThrough()
  const work = backend.upload?.({ id: 'a' }, body, { signal })
  body.destroy(new Error('broken'))
  await nextTurn()
  waiting.resolve(undefined)
  t.equal((await work)?.id, 'up')
})

t.test('the source has one error listener, whatever the number of layers', async (t) => {
  const body = new PassThrough()
  await uploading(...Array<Layer>(12).fill(withStorageErrors)).upload?.({ id: 'a' }, body, { signal })
  t.equal(body.listenerCount('error'), 1)
})

t.test('a connection keeps its throttle and its breaker until it is forgotten', async (t) => {
  const health = new ConnectionHealth(new ManualClock())
  const known = health.get('s3', 'c1')
  known.throttle.extend(1_000)
  t.equal(health.get('s3', 'c1'), known)
  health.delete('s3', 'c2')
  t.equal(health.get('s3', 'c1'), known)
  health.delete('s3', 'c1')
  t.not(health.get('s3', 'c1'), known)
  t.equal(health.get('s3', 'c1').throttle.remainingMs(), 0)
})

t.test('no two connections share their state', async (t) => {
  const health = new ConnectionHealth(new ManualClock())
  const pairs = [
    ['s3', 'c'],
    ['s', '3c'],
    ['s3","c', ''],
    ['s3', '","c'],
    ['', 's3c'],
    ['s3:c', ''],
    ['s3', ':c']
  ] as const
  t.equal(new Set(pairs.map(([provider, id]) => health.get(provider, id))).size, pairs.length)
})

t.test('the least recently used connections are forgotten', async (t) => {
  const health = new ConnectionHealth(new ManualClock())
  const first = health.get('s3', 'first')
  const second = health.get('s3', 'second')
  for (let index = 0; index < 4_998; index += 1) health.get('s3', String(index))
  t.equal(health.get('s3', 'first'), first)
  health.get('s3', 'one more')
  t.equal(health.get('s3', 'first'), first)
  t.not(health.get('s3', 'second'), second)
})

t.test('breakers that are not closed are reported with their provider, which does not count as a use', (t) => {
  const clock = new ManualClock()
  const health = new ConnectionHealth(clock)
  const down = (provider: string, id: string): void => {
    for (let call = 0; call < 5; call += 1) health.get(provider, id).breaker.begin()('down')
  }
  health.get('s3', 'well')
  t.same(health.tripped(), [])
  down('s3', 'a')
  clock.tick(10_000)
  down('webdav', 'a')
  const tripped = () => health.tripped().sort((a, b) => a.provider.localeCompare(b.provider))
  t.same(tripped(), [
    { provider: 's3', state: 'half_open' },
    { provider: 'webdav', state: 'open' }
  ])
  health.delete('webdav', 'a')
  t.same(tripped(), [{ provider: 's3', state: 'half_open' }])
  for (let index = 0; index < 4_998; index += 1) health.get('s3', String(index))
  t.same(tripped(), [{ provider: 's3', state: 'half_open' }])
  health.get('s3', 'one more')
  health.get('s3', 'another')
  t.same(tripped(), [], 'the oldest one is forgotten, however often it was reported')
  t.end()
})

t.test('a throttled connection is reported by its provider', async (t) => {
  const told: string[] = []
  const health = new ConnectionHealth(new ManualClock(), (provider) => told.push(provider))
  health.get('s3', 'a').throttle.recordThrottled(new StorageError('PROVIDER_THROTTLED', ''))
  health.get('webdav', 'a').throttle.recordThrottled(new StorageError('PROVIDER_THROTTLED', ''))
  t.same(told, ['s3', 'webdav'])
})

t.test('a failure names the host of its own call, even if concurrent calls reach other hosts', async (t) => {
  const bare = new ScriptedBackend()
  const egress = { request: async ({ url }: HttpRequest) => ({ url }) } as unknown as Egress
  const hosts = new HostTrail(egress)
  const reached = new Deferred<undefined>()
  bare.list = async (folder, call) => {
    await hosts.request({ method: 'GET', url: new URL(`https://${folder}.example`), signal: call.signal })
    await reached.promise
    throw new StorageError('PROVIDER_ERROR', 'no')
  }
  // The deadline layer in between replaces the signal of the call.
  const withHost: Layer = (next) => withDetails(next, (outer) => ({ host: hosts.hostOf(outer) }))
  const backend = interceptCalls(bare, withHost(withDeadline(withHost(runCall), 60_000)))
  const failures = Promise.allSettled(['one', 'two'].map((folder) => backend.listFolder(folder, { limit: 1, signal })))
  await nextTurn()
  reached.resolve(undefined)
  const named = (await failures).map((failure) => (failure as { reason: StorageError }).reason.details.host)
  t.same(named, ['one.example', 'two.example'])
})

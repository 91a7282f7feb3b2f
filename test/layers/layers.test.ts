import { PassThrough } from 'node:stream'
import t from 'tap'
import { StorageError } from '../../src/domain/errors.ts'
import type { StorageBackend } from '../../src/domain/storage-backend.ts'
import { aroundEach } from '../../src/layers/around-each.ts'
import { withDeadline } from '../../src/layers/with-deadline.ts'
import { withKnownErrors } from '../../src/layers/with-known-errors.ts'
import { useManualTimers } from '../support/manual-timers.ts'
import { ScriptedBackend } from '../support/scripted-backend.ts'

const signal = new AbortController().signal

t.test('a layer passes every call on and adds no ability', async (t) => {
  const calls: string[] = []
  const bare = new ScriptedBackend()
  const layered = aroundEach(bare, (call, outer, run) => {
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
  t.equal(bare.listed[0]?.call.limit, 3)

  const full: StorageBackend = Object.assign(new ScriptedBackend(), {
    upload: async () => bare.stat('up'),
    remove: async () => undefined,
    createFolder: async () => bare.stat('made'),
    downloadUrl: async () => ({ url: 'https://x.example', expiresAt: new Date(0) })
  })
  const dressed = aroundEach(full, (call, outer, run) => {
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

t.test('a call that hangs ends at its deadline, also when the backend does not heed its signal', async (t) => {
  const tick = useManualTimers(t)
  const bare = new ScriptedBackend()
  bare.list = () => new Promise(() => undefined)
  const pending = withDeadline(bare, 30_000).listFolder(null, { limit: 1, signal })
  tick(29_999)
  t.equal(bare.listed[0]?.call.signal.aborted, false)
  tick(1)
  await t.rejects(pending, { code: 'PROVIDER_TIMEOUT' })
  t.equal(bare.listed[0]?.call.signal.aborted, true)
})

t.test('the caller leaves and the call is aborted with the caller’s reason', async (t) => {
  const bare = new ScriptedBackend()
  bare.list = () => new Promise(() => undefined)
  const controller = new AbortController()
  const pending = withDeadline(bare, 60_000).listFolder(null, { limit: 1, signal: controller.signal })
  controller.abort(new Error('gone'))
  await t.rejects(pending, { message: 'gone' })
  t.equal(bare.listed[0]?.call.signal.aborted, true)
  await t.rejects(withDeadline(bare, 60_000).listFolder(null, { limit: 1, signal: controller.signal }), {
    message: 'gone'
  })
  t.equal(bare.listed.length, 1, 'an aborted signal starts nothing')
})

t.test('a download is held to the deadline until its body begins, and its body to the caller’s signal', async (t) => {
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
  const { body: got } = await withDeadline(backend, 30_000).download('a', { signal: controller.signal })
  tick(60_000)
  t.equal(inner?.aborted, false, 'the deadline is over once the body has begun')
  const failed = new Promise((resolve) => got.once('error', resolve))
  controller.abort(new Error('client gone'))
  t.match(await failed, { message: 'client gone' })
})

t.test('what is not known becomes a provider error whose message tells nothing', async (t) => {
  const bare = new ScriptedBackend()
  const marked: StorageError[] = []
  const backend = withKnownErrors(bare, (error) => {
    marked.push(error)
    return error
  })
  bare.list = () => Promise.reject(new Error('Bearer SECRET'))
  await t.rejects(backend.listFolder(null, { limit: 1, signal }), {
    code: 'PROVIDER_ERROR',
    message: /^((?!SECRET).)*$/
  })
  bare.list = () => Promise.reject(new StorageError('FOLDER_NOT_FOUND', 'gone'))
  await t.rejects(backend.listFolder(null, { limit: 1, signal }), { code: 'FOLDER_NOT_FOUND' })
  t.equal(marked.length, 2)
  const left = AbortSignal.abort(new Error('left'))
  bare.list = (_folder, call) => Promise.reject(call.signal.reason as Error)
  await t.rejects(backend.listFolder(null, { limit: 1, signal: left }), { message: 'left' })
  t.equal(marked.length, 2, 'the caller’s own reason is no failure')
})

import { PassThrough } from 'node:stream'
import t from 'tap'
import { StorageError } from '../../src/errors.ts'
import type { StorageBackend } from '../../src/core/backend.ts'
import type { Tracing } from '../../src/core/telemetry.ts'
import { interceptCalls, runCall, withSpans } from '../../src/layers/layer.ts'
import { Deferred, nextTurn } from '../support/time/deferred.ts'
import { entry, page, ScriptedBackend } from '../support/backend/scripted-backend.ts'

const signal = new AbortController().signal
const list = { limit: 1, signal }

interface Traced {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  outcome: 'open' | 'ended' | 'failed'
}

function arrange(bare: StorageBackend = new ScriptedBackend()) {
  const spans: Traced[] = []
  const tracing: Tracing = {
    span: async (name, attributes, work) => {
      const span: Traced = { name, attributes, outcome: 'open' }
      spans.push(span)
      try {
        const answer = await work()
        span.outcome = 'ended'
        return answer
      } catch (error) {
        span.outcome = 'failed'
        throw error
      }
    }
  }
  return { spans, backend: interceptCalls(bare, withSpans(runCall, tracing, 'somewhere')) }
}

t.test('each call has its own span with its operation and provider', async (t) => {
  const whole: StorageBackend = Object.assign(new ScriptedBackend(), {
    upload: async () => entry('up'),
    remove: async () => {},
    createFolder: async () => entry('folder'),
    downloadUrl: async () => ({ url: 'https://files.example.org/private', expiresAt: null })
  } as unknown as Partial<StorageBackend>)
  const { spans, backend } = arrange(whole)
  await backend.listFolder('private', list)
  await backend.stat('private', { signal })
  await backend.download('private', { signal })
  await backend.account({ signal })
  await backend.upload?.({ parentId: 'private', name: 'private' }, new PassThrough(), { signal })
  await backend.remove?.('private', { signal })
  await backend.createFolder?.('private', 'private', { signal })
  await backend.downloadUrl?.('private', { signal, expiresInMs: 1_000 })
  t.same(
    spans.map(({ name }) => name),
    ['list_folder', 'stat', 'download', 'account', 'upload', 'remove', 'create_folder', 'download_url'].map(
      (call) => `cloud_storage.${call}`
    )
  )
  for (const { attributes, outcome } of spans) {
    t.same(attributes, { 'cloud_storage.provider': 'somewhere' })
    t.equal(outcome, 'ended')
  }
})

t.test('missing methods of a backend stay absent', async (t) => {
  t.notOk('upload' in arrange().backend)
})

t.test('a span lasts until the result, and results and failures are passed on unchanged', async (t) => {
  const bare = new ScriptedBackend()
  const { spans, backend } = arrange(bare)
  const waiting = new Deferred<ReturnType<typeof page>>()
  bare.list = () => waiting.promise
  const listing = backend.listFolder(null, list)
  await nextTurn()
  t.equal(spans[0]?.outcome, 'open')
  const answer = page([entry('a')])
  waiting.resolve(answer)
  t.equal(await listing, answer)
  t.equal(spans[0]?.outcome, 'ended')

  const failure = new StorageError('FOLDER_NOT_FOUND', '')
  bare.list = () => Promise.reject(failure)
  await t.rejects(backend.listFolder(null, list), failure)
  t.equal(spans[1]?.outcome, 'failed')
})

t.test('the span of a download ends when its body begins', async (t) => {
  const body = new PassThrough()
  const bare = Object.assign(new ScriptedBackend(), {
    download: async () => ({ body, size: null, range: null, mimeType: null, etag: null, modifiedAt: null })
  })
  const { spans, backend } = arrange(bare)
  t.equal((await backend.download('a', { signal })).body, body)
  t.equal(spans[0]?.outcome, 'ended')
  t.equal(body.readableEnded, false)
})

t.test('an abort by the caller is not a failure of the provider', async (t) => {
  const bare = new ScriptedBackend()
  const { spans, backend } = arrange(bare)
  const controller = new AbortController()
  const left = new Error('left')
  bare.list = async () => {
    controller.abort(left)
    throw left
  }
  await t.rejects(backend.listFolder(null, { limit: 1, signal: controller.signal }), left)
  t.equal(spans[0]?.outcome, 'ended')
})

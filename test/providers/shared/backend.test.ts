import { Readable } from 'node:stream'
import t from 'tap'
import type { Capabilities, UploadTarget } from '../../../src/core/backend.ts'
import type { StorageErrorCode } from '../../../src/errors.ts'
import { createBackend, type Operations } from '../../../src/providers/shared/backend.ts'
import { failure } from '../../../src/providers/shared/errors.ts'
import { isSameName } from '../../../src/providers/shared/names.ts'
import { type ChunkOutcome, sendChunk, UploadRetry } from '../../../src/providers/shared/upload-retry.ts'
import { callOptions, rejectsWith } from '../../contract/suite/arrange.ts'
import { entry, page } from '../../support/backend/scripted-backend.ts'

/** Returns a backend whose ids are numbers, and the calls of its operations. */
function createNumberBackend() {
  const calls: unknown[][] = []
  const parseId = (id: string, missing: 'FOLDER_NOT_FOUND' | 'OBJECT_NOT_FOUND'): number => {
    if (!/^\d+$/.test(id)) throw failure(missing)
    return Number(id)
  }
  const record =
    <Result>(name: string, result: Result) =>
    async (...args: readonly unknown[]): Promise<Result> => {
      // All but the call.
      calls.push([name, ...args.slice(0, -1)])
      return result
    }
  const operations: Operations<string, number, number> = {
    provider: 'numbers',
    capabilities: {} as Capabilities,
    parseId,
    parseFolderId: (id) => (id === null ? 0 : parseId(id, 'FOLDER_NOT_FOUND')),
    listFolder: record('listFolder', page([])),
    stat: record('stat', entry('x')),
    download: record('download', {} as never),
    upload: async (session, target) => {
      calls.push(['upload', session, target])
      return entry('x')
    },
    remove: record('remove', undefined),
    createFolder: record('createFolder', entry('x')),
    account: record('account', { id: 'a', name: 'a', email: null, quota: null })
  }
  return { backend: createBackend(operations, 'session'), calls }
}

t.test('operations receive the session, parsed ids and valid names', async (t) => {
  const { backend, calls } = createNumberBackend()
  const body = () => Readable.from(['x'])
  await backend.listFolder(null, { ...callOptions(), limit: 10 })
  await backend.stat('1', callOptions())
  await backend.download('2', callOptions())
  await backend.upload?.({ id: '3' }, body(), callOptions())
  await backend.upload?.({ parentId: null, name: 'new', mimeType: 'text/plain' }, body(), callOptions())
  await backend.remove?.('4', callOptions())
  await backend.createFolder?.('5', 'made', callOptions())
  await backend.account(callOptions())
  t.same(calls, [
    ['listFolder', 'session', 0],
    ['stat', 'session', 1],
    ['download', 'session', 2],
    ['upload', 'session', { id: 3, mimeType: undefined }],
    ['upload', 'session', { parent: 0, name: 'new', mimeType: 'text/plain' }],
    ['remove', 'session', 4],
    ['createFolder', 'session', 5, 'made'],
    ['account', 'session']
  ])
  t.notOk('downloadUrl' in backend, 'a missing operation is a missing method')
})

t.test('no operation is called with invalid arguments, and the source of an upload is destroyed', async (t) => {
  const { backend, calls } = createNumberBackend()
  for (const limit of [0, 1001, 1.5]) {
    await rejectsWith(t, backend.listFolder(null, { ...callOptions(), limit }), 'INVALID_REQUEST')
  }
  await rejectsWith(t, backend.listFolder('x', { ...callOptions(), limit: 1 }), 'FOLDER_NOT_FOUND')
  await rejectsWith(t, backend.stat('x', callOptions()), 'OBJECT_NOT_FOUND')
  await rejectsWith(t, backend.createFolder!('1', 'a/b', callOptions()), 'INVALID_REQUEST')
  const targets: [UploadTarget, StorageErrorCode][] = [
    [{ id: 'x' }, 'OBJECT_NOT_FOUND'],
    [{ id: '1', mimeType: 'no type' }, 'INVALID_REQUEST'],
    [{ parentId: 'x', name: 'new' }, 'FOLDER_NOT_FOUND'],
    [{ parentId: null, name: '..' }, 'INVALID_REQUEST']
  ]
  for (const [target, code] of targets) {
    const body = Readable.from(['x'])
    await rejectsWith(t, backend.upload!(target, body, callOptions()), code)
    t.ok(body.destroyed)
  }
  const reason = new Error('aborted')
  const aborted = { signal: AbortSignal.abort(reason) }
  await t.rejects(backend.listFolder(null, { ...aborted, limit: 1 }), reason)
  await t.rejects(backend.stat('x', aborted), reason)
  await t.rejects(backend.createFolder!(null, '', aborted), reason)
  await t.rejects(backend.account(aborted), reason)
  t.same(calls, [])
})

t.test('a chunk is sent from the first byte that the service does not have', async (t) => {
  const delays: number[] = []
  const retry = new UploadRetry(callOptions().signal, async (ms) => void delays.push(ms))
  const sent: string[] = []
  const send = (isLast: boolean, outcomes: ChunkOutcome<string>[]) =>
    sendChunk(
      'The service',
      { pieces: [Buffer.from('ab'), Buffer.from('cd')], length: 4, isLast },
      10,
      retry,
      async (rest) => {
        sent.push(Buffer.concat(rest).toString())
        return outcomes.shift()!
      }
    )
  t.equal(await send(false, [{ accepted: 11 }, { accepted: 11 }, { accepted: 14 }]), null)
  t.same(sent.splice(0), ['abcd', 'bcd', 'bcd'])
  t.equal(delays.length, 1, 'without progress it waits')
  t.equal(await send(true, [{ accepted: 14 }, { file: 'stored' }]), 'stored')
  t.same(sent.splice(0), ['abcd', ''])
  for (const accepted of [9, 15]) await rejectsWith(t, send(false, [{ accepted }]), 'PROVIDER_ERROR')
  await rejectsWith(t, send(false, [{ file: 'early' }]), 'PROVIDER_ERROR')
})

t.test('names are the same in both Unicode forms, and in another case only if the service ignores it', async (t) => {
  const composed = '\u00c4.txt'
  const decomposed = 'A\u0308.txt'
  t.ok(isSameName(composed, decomposed, { ignoreCase: false }))
  t.notOk(isSameName(composed, composed.toLowerCase(), { ignoreCase: false }))
  t.ok(isSameName(composed, decomposed.toLowerCase(), { ignoreCase: true }))
  t.notOk(isSameName('a', 'b', { ignoreCase: true }))
})

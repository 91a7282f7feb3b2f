import { PassThrough } from 'node:stream'
import t from 'tap'
import type { StorageBackend } from '../../src/domain/storage-backend.ts'
import { aroundEach, type Around } from '../../src/layers/around-each.ts'
import { Deferred, settled } from '../support/deferred.ts'
import { ScriptedBackend } from '../support/scripted-backend.ts'

const signal = new AbortController().signal

function uploading(...layers: Around[]): StorageBackend {
  const bare: StorageBackend = Object.assign(new ScriptedBackend(), {
    upload: async (_target: unknown, body: PassThrough) => {
      body.resume()
      return new ScriptedBackend().stat('up')
    }
  })
  return layers.reduce(aroundEach, bare)
}

t.test('a layer that refuses an upload ends its source', async (t) => {
  const body = new PassThrough()
  const backend = uploading(() => Promise.reject(new Error('refused')))
  await t.rejects(
    async () => {
      await backend.upload?.({ id: 'a' }, body, { signal })
    },
    { message: 'refused' }
  )
  t.equal(body.destroyed, true)
})

t.test('a source that fails while a layer waits does not fail unheard', async (t) => {
  const waiting = new Deferred<undefined>()
  const backend = uploading(async (_call, outer, run) => {
    await waiting.promise
    return run(outer)
  })
  const body = new PassThrough()
  const work = backend.upload?.({ id: 'a' }, body, { signal })
  body.destroy(new Error('broken'))
  await settled()
  waiting.resolve(undefined)
  t.equal((await work)?.id, 'up')
})

t.test('the source is listened to once, however many layers there are', async (t) => {
  const through: Around = (_call, outer, run) => run(outer)
  const body = new PassThrough()
  await uploading(...Array<Around>(12).fill(through)).upload?.({ id: 'a' }, body, { signal })
  t.equal(body.listenerCount('error'), 1)
})

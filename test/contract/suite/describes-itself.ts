import type { Test } from 'tap'
import type { Capabilities } from '../../../src/core/backend.ts'
import { rejectionOf } from '../../support/rejection.ts'
import { callOptions, rejectsWith, type Open } from './arrange.ts'

const SUPPORT_LEVELS = ['native', 'emulated', 'unsupported']

export function describesItself(t: Test, open: Open): void {
  t.test('a method exists exactly if its capability is supported', async (t) => {
    const { backend } = await open(t)
    const { capabilities } = backend
    const methods = ['upload', 'remove', 'createFolder', 'downloadUrl'] as const satisfies (keyof Capabilities)[]
    for (const name of methods) {
      t.equal(typeof backend[name] === 'function', capabilities[name] !== 'unsupported', name)
    }
    for (const [name, level] of Object.entries(capabilities)) t.ok(SUPPORT_LEVELS.includes(level as string), name)
    if (capabilities.upload === 'unsupported') {
      t.equal(capabilities.createOnly, 'unsupported')
      t.equal(capabilities.updateIfMatch, 'unsupported')
      t.equal(capabilities.atomicReplace, 'unsupported')
    }
  })

  t.test('the account has an id and a name', async (t) => {
    const { backend } = await open(t)
    const account = await backend.account(callOptions())
    t.not(account.id, '')
    t.not(account.name, '')
    t.same(Object.keys(account).sort(), ['email', 'id', 'name', 'quota'])
    t.match(await backend.account(callOptions()), { id: account.id, name: account.name }, 'it stays the same')
  })

  t.test('an aborted signal ends each call with its reason', async (t) => {
    const { backend, seed } = await open(t)
    await seed({ 'a.txt': 'a' })
    const [entry] = (await backend.listFolder(null, { ...callOptions(), limit: 10 })).entries
    const id = entry?.id ?? ''
    const reason = new Error('the caller has left')
    const aborted = { signal: AbortSignal.abort(reason) }
    const calls = {
      listFolder: backend.listFolder(null, { ...aborted, limit: 10 }),
      stat: backend.stat(id, aborted),
      download: backend.download(id, aborted),
      account: backend.account(aborted),
      remove: backend.remove?.(id, aborted),
      createFolder: backend.createFolder?.(null, 'new', aborted),
      downloadUrl: backend.downloadUrl?.(id, { ...aborted, expiresInMs: 60_000 })
    }
    for (const [name, promise] of Object.entries(calls)) {
      if (promise !== undefined) t.equal(await rejectionOf(promise), reason, name)
    }
    t.equal((await backend.listFolder(null, { ...callOptions(), limit: 10 })).entries.length, 1, 'nothing was changed')
  })

  t.test('a missing file and a missing folder are errors', async (t) => {
    const { backend, seed, missing } = await open(t)
    await seed({ 'a/b.txt': 'b' })
    await rejectsWith(t, backend.stat(missing.file, callOptions()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.stat(missing.folder, callOptions()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.download(missing.file, callOptions()), 'OBJECT_NOT_FOUND')
    await rejectsWith(t, backend.listFolder(missing.folder, { ...callOptions(), limit: 10 }), 'FOLDER_NOT_FOUND')
    await rejectsWith(t, backend.listFolder(missing.file, { ...callOptions(), limit: 10 }), 'FOLDER_NOT_FOUND')
  })
}

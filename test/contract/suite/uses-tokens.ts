import type { Test } from 'tap'
import { StorageError } from '../../../src/errors.ts'
import type { AccessTokens } from '../../../src/core/oauth.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { goodTokens } from '../../support/app/tokens.ts'
import type { OpenWithTokens } from '../harness.ts'
import { call, contentOf, failureOf, find, rejectsWith } from './arrange.ts'
import { piecesOf, upload } from './uploads.ts'

/** The behaviour of all backends that use access tokens. */
export function usesTokens(
  t: Test,
  { open, token: good }: OpenWithTokens,
  wrap: (backend: StorageBackend) => StorageBackend
): void {
  const small = (backend: StorageBackend) => upload(backend, { parentId: null, name: 'x' }, piecesOf(Buffer.from('x')))

  t.test('a rejected token is refreshed once, and a second rejection is final', async (t) => {
    const old = new Secret('old')
    let token = old
    const renewals: unknown[] = []
    const tokens: AccessTokens = {
      current: async () => token,
      renewed: async (refused) => {
        renewals.push(refused)
        return (token = new Secret(renewals.length % 2 === 1 ? good : 'bad'))
      }
    }
    const { fake, seed, ...opened } = await open(t, tokens, openEgress())
    const backend = wrap(opened.backend)
    await seed({ 'a.txt': 'content' })
    const { id } = await find(backend, 'a.txt')
    t.same(renewals, [old])
    t.equal((await contentOf(backend, id)).toString(), 'content')
    token = old
    renewals.length = 0
    t.equal((await contentOf(backend, (await small(backend)).id)).toString(), 'x', 'the body is sent again')
    t.same(renewals, [old])
    fake.tokens.clear()
    const asks = [() => backend.stat(id, call()), () => backend.download(id, call()), () => small(backend)]
    for (const ask of asks) {
      renewals.length = 1
      const error = await failureOf(ask())
      t.equal(error.code, 'ACCESS_DENIED')
      t.equal(error.credentialsRefused, false, 'the token endpoint decides whether a grant has ended')
      t.equal(renewals.length, 2)
    }
  })

  t.test('an ended grant is reported unchanged', async (t) => {
    const ended = new StorageError('CONNECTION_INACTIVE', 'The grant has ended.')
    const refuse = () => Promise.reject(ended)
    const { fake, missing, ...opened } = await open(t, { current: refuse, renewed: refuse }, openEgress())
    const backend = wrap(opened.backend)
    for (const ask of [
      () => backend.listFolder(null, { ...call(), limit: 1 }),
      () => backend.stat(missing.file, call()),
      () => backend.download(missing.file, call()),
      () => backend.remove?.(missing.file, call()),
      () => backend.createFolder?.(null, 'x', call()),
      () => small(backend),
      () => backend.account(call())
    ]) {
      t.equal(await ask()?.catch((error: unknown) => error), ended)
    }
    t.equal(fake.requests.length, 0)
  })

  t.test('an abort during a call ends with the caller’s reason', async (t) => {
    const { fake, ...opened } = await open(t, goodTokens(good), openEgress())
    const backend = wrap(opened.backend)
    for (const reason of [new Error('enough'), new StorageError('PROVIDER_TIMEOUT', 'too late')]) {
      for (const ask of [
        (signal: AbortSignal) => backend.account({ signal }),
        (signal: AbortSignal) => backend.listFolder(null, { signal, limit: 10 })
      ]) {
        const controller = new AbortController()
        fake.failNext(1, () => {
          controller.abort(reason)
        })
        t.equal(await ask(controller.signal).catch((error: unknown) => error), reason)
      }
    }
  })

  t.test('an egress that forbids the provider has its own error, and no connection is made', async (t) => {
    const { fake, ...opened } = await open(t, goodTokens(good), openEgress({ allowHosts: [] }))
    await rejectsWith(t, wrap(opened.backend).account(call()), 'ENDPOINT_FORBIDDEN')
    t.equal(fake.connections, 0)
  })
}

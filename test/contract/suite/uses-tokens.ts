import type { Test } from 'tap'
import { StorageError } from '../../../src/errors.ts'
import type { AccessTokens } from '../../../src/core/oauth.ts'
import { Secret } from '../../../src/core/secret.ts'
import type { StorageBackend } from '../../../src/core/backend.ts'
import { openEgress } from '../../support/backend/egress.ts'
import { validTokens } from '../../support/app/tokens.ts'
import type { OpenWithTokens } from '../harness.ts'
import { failureOf } from '../../support/rejection.ts'
import { callOptions, contentOf, find, rejectsWith } from './arrange.ts'
import { chunkedStream, upload } from './uploads.ts'

/** The behaviour of all backends that use access tokens. */
export function usesTokens(
  t: Test,
  { open, token: validToken }: OpenWithTokens,
  wrap: (backend: StorageBackend) => StorageBackend
): void {
  const uploadSmallFile = (backend: StorageBackend) =>
    upload(backend, { parentId: null, name: 'x' }, chunkedStream(Buffer.from('x')))

  t.test('a rejected token is refreshed once, and a second rejection is final', async (t) => {
    const expiredToken = new Secret('old')
    let token = expiredToken
    const rejectedTokens: unknown[] = []
    const tokens: AccessTokens = {
      current: async () => token,
      renewed: async (rejectedToken) => {
        rejectedTokens.push(rejectedToken)
        return (token = new Secret(rejectedTokens.length % 2 === 1 ? validToken : 'bad'))
      }
    }
    const { fake, seed, ...opened } = await open(t, tokens, openEgress())
    const backend = wrap(opened.backend)
    await seed({ 'a.txt': 'content' })
    const { id } = await find(backend, 'a.txt')
    t.same(rejectedTokens, [expiredToken])
    t.equal((await contentOf(backend, id)).toString(), 'content')
    token = expiredToken
    rejectedTokens.length = 0
    t.equal((await contentOf(backend, (await uploadSmallFile(backend)).id)).toString(), 'x', 'the body is sent again')
    t.same(rejectedTokens, [expiredToken])
    fake.tokens.clear()
    const operations = [
      () => backend.stat(id, callOptions()),
      () => backend.download(id, callOptions()),
      () => uploadSmallFile(backend)
    ]
    for (const operation of operations) {
      rejectedTokens.length = 1
      const error = await failureOf(operation())
      t.equal(error.code, 'ACCESS_DENIED')
      t.equal(error.credentialsRefused, false, 'the token endpoint decides whether a grant has ended')
      t.equal(rejectedTokens.length, 2)
    }
  })

  t.test('an ended grant is reported unchanged', async (t) => {
    const grantError = new StorageError('CONNECTION_INACTIVE', 'The grant has ended.')
    const rejectGrant = () => Promise.reject(grantError)
    const { fake, missing, ...opened } = await open(t, { current: rejectGrant, renewed: rejectGrant }, openEgress())
    const backend = wrap(opened.backend)
    for (const operation of [
      () => backend.listFolder(null, { ...callOptions(), limit: 1 }),
      () => backend.stat(missing.file, callOptions()),
      () => backend.download(missing.file, callOptions()),
      () => backend.remove?.(missing.file, callOptions()),
      () => backend.createFolder?.(null, 'x', callOptions()),
      () => uploadSmallFile(backend),
      () => backend.account(callOptions())
    ]) {
      t.equal(await operation()?.catch((error: unknown) => error), grantError)
    }
    t.equal(fake.requests.length, 0)
  })

  t.test('an abort during a call ends with the caller’s reason', async (t) => {
    const { fake, ...opened } = await open(t, validTokens(validToken), openEgress())
    const backend = wrap(opened.backend)
    for (const reason of [new Error('enough'), new StorageError('PROVIDER_TIMEOUT', 'too late')]) {
      for (const operation of [
        (signal: AbortSignal) => backend.account({ signal }),
        (signal: AbortSignal) => backend.listFolder(null, { signal, limit: 10 })
      ]) {
        const controller = new AbortController()
        fake.failNext(1, () => {
          controller.abort(reason)
        })
        t.equal(await operation(controller.signal).catch((error: unknown) => error), reason)
      }
    }
  })

  t.test('an egress that forbids the provider has its own error, and no connection is made', async (t) => {
    const { fake, ...opened } = await open(t, validTokens(validToken), openEgress({ allowHosts: [] }))
    await rejectsWith(t, wrap(opened.backend).account(callOptions()), 'ENDPOINT_FORBIDDEN')
    t.equal(fake.connections, 0)
  })
}

import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import type { OAuthConnect } from '../../../src/core/oauth.ts'
import { defineProvider, type OAuthProvider } from '../../../src/core/provider.ts'
import { httpFailure } from '../../../src/providers/shared/errors.ts'
import { readJson } from '../../../src/providers/shared/rest-client.ts'
import { withBearer } from '../../../src/providers/shared/bearer.ts'
import type { FakeOAuth } from '../../fakes/oauth/fake-oauth.ts'
import { FAKE_SCOPES } from '../../fakes/oauth/rules.ts'
import { entry, page, ScriptedBackend } from '../backend/scripted-backend.ts'

/** A resource server for tokens of a {@link FakeOAuth}. It returns the account of a token, and has one file. */
export interface OAuthCloud {
  readonly origin: string
  /** The received tokens, the latest last. */
  readonly tokens: string[]
}

export async function startOAuthCloud(t: Test, oauth: FakeOAuth): Promise<OAuthCloud> {
  const tokens: string[] = []
  const server = createServer((request, response) => {
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    tokens.push(token)
    const user = oauth.check(token) === null ? null : oauth.userOf(token)
    response.statusCode = user === null ? 401 : 200
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(user ?? { error: `Bearer ${token}` }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { origin: `http://127.0.0.1:${String(port)}`, tokens }
}

/** The `connect` options of a provider at a {@link FakeOAuth}. */
export function oauthConnect(issuer: string, overrides: Partial<OAuthConnect> = {}): OAuthConnect {
  return {
    type: 'oauth2',
    server: {
      issuer,
      authorizationEndpoint: `${issuer}/authorize`,
      tokenEndpoint: `${issuer}/token`,
      revocationEndpoint: `${issuer}/revoke`
    },
    clientAuthentication: 'client_secret_post',
    scopes: FAKE_SCOPES.slice(0, 1),
    authorizationParameters: { access_type: 'offline', prompt: 'consent' },
    ...overrides
  }
}

/** A provider with one file. It is built from addresses alone, so that other processes can build the same one. */
export function oauthCloudProvider(
  issuer: string,
  cloudOrigin: string,
  overrides: Partial<OAuthConnect> = {}
): OAuthProvider {
  const { capabilities } = new ScriptedBackend()
  return defineProvider({
    id: 'cloud',
    label: 'Cloud',
    capabilities,
    connect: oauthConnect(issuer, overrides),
    open: async ({ accessTokens, egress }) => {
      const send = withBearer(egress, accessTokens, [cloudOrigin])
      const fetchAccount = async (signal: AbortSignal) => {
        const response = await send({ method: 'GET', url: new URL('/me', cloudOrigin), signal })
        if (response.status === 200)
          return (await readJson(response)) as unknown as { id: string; name: string; email: string }
        await response.discard()
        throw httpFailure('GET', response, 'FOLDER_NOT_FOUND')
      }
      return Object.assign(new ScriptedBackend(), {
        account: async ({ signal }: { signal: AbortSignal }) => ({ ...(await fetchAccount(signal)), quota: null }),
        listFolder: async (_folderId: string | null, { signal }: { signal: AbortSignal }) => {
          const { id } = await fetchAccount(signal)
          return page([entry(`file of ${id}`)])
        }
      })
    }
  })
}
